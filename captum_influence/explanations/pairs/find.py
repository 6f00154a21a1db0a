"""Finding what separates two classes, and trying whether the answers hang on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace as changed
from typing import Any

from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quantities import ClassScore
from captum_influence.data.batches import repeatable
from captum_influence.data.labels import Names, class_name
from captum_influence.explanations.essences.find import drawn_at_random
from captum_influence.explanations.pairs.moves import Moves, count_moves
from captum_influence.explanations.pairs.result import Pair, SeparatingUnit, Side
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.reports.asked import installed_versions
from captum_influence.units.displays import rescaled
from captum_influence.units.exemplars import Examiner
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.survey import Survey

__all__ = ["pair"]

_DRAWS = 5  # random rankings, averaged


def pair(
    model: nn.Module,
    layer: nn.Module | str | Cut,
    loader: Iterable[Any],
    first: int,
    second: int,
    *,
    held_out: Iterable[Any] | None = None,
    distribution: Distribution | None = None,
    top: int = 4,
    examples: int = 3,
    ks: Sequence[int] = (1, 2, 4, 8, 16, 32),
    replace: Replace | Replacement = 0,
    reference: Tensor | Iterable[Any] | None = None,
    display: Callable[[Tensor], Tensor] | None = None,
    class_names: Names = None,
    percentile: float = 95.0,
    smoothing: float | None = None,
    internal_batch_size: int | None = None,
    seed: int = 0,
    show_progress: bool = False,
) -> Pair:
    r"""Find which channels separate two classes, and whether answers move without them.

    The question is the comparative one, q = score(first) − score(second), over pictures of both
    classes. A channel separates them by the difference of its mean contributions,
    :math:`\bar c_j(\text{first}) - \bar c_j(\text{second})`; these add up to how far q lies apart
    on the two classes. It speaks for the class on whose pictures it does more. Whether answers
    hang on it is found out by removing it from pictures that are answered right.

    Args:
        model: the network, in eval mode.
        layer: a module, a dotted name or a Cut.
        loader: yields (images, labels); only pictures of the two classes are used.
        first: a class.
        second: the class that it is compared with.
        held_out: yields (images, labels) that removal is tried on; None: the loader.
        distribution: see :func:`essence`.
        top: how many channels to show for each class.
        examples: how many pictures for each.
        ks: how many channels to remove, as far as there are so many for a class.
        replace: what takes the place of removed units, with its ``reference``: see
            :class:`Expert`.
        reference: see ``replace``.
        display: turns one input into a picture (3, height, width) in [0, 1]; None: rescaling.
        class_names: a name for each class.
        percentile: masks keep what lies above it.
        smoothing: of maps before masks and figures, see :func:`explain`.
        internal_batch_size: (example, point) rows per pass.
        seed: of random rankings and of ``replace="resample"``.
        show_progress: show progress bars.

    Raises:
        ValueError: if the classes are the same, or the loader holds no picture of one of them.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(32, seed=5).stacked()]
        >>> found = pair(load_demo_network(), "relu5", scenes, 0, 1, top=1, examples=1)
        >>> found.first.count, found.second.count
        (4, 4)
    """
    began, cut = time.perf_counter(), Cut.ensure(layer)
    _check(first, second, top, ks)
    survey = Survey(
        model,
        cut,
        loader,
        (first, second),
        ClassScore(first) - ClassScore(second),
        distribution,
        internal_batch_size,
        show_progress,
    )
    axis = survey.axis()
    profile = survey.profile(axis, multiply=True)
    ranked = _separating(profile, (first, second))
    examiner = Examiner(
        survey.measurement(), axis, display or rescaled, class_names, percentile, smoothing
    )
    seen = _looked_at(survey, examiner, [units[:top] for units in ranked], examples)
    replacement = Replacement.ensure(replace, model, cut, reference, seed)
    tried = repeatable(loader if held_out is None else held_out)
    moves = [_moves(survey, tried, ranked, i, ks, replacement, seed) for i in (0, 1)]
    names = [class_name(own, class_names) for own in (first, second)]
    both = zip((first, second), names, seen, moves, strict=True)
    sides = [Side(c, name, profile.count(c), rows, moved) for c, name, rows, moved in both]
    return Pair(
        network=type(model).__name__,
        layer=layer_name(model, cut),
        quantity=survey.quantity.in_words(class_names),
        first=sides[0],
        second=sides[1],
        margins=(float(profile.mean(first).sum()), float(profile.mean(second).sum())),
        channels=len(profile.mean(first)),
        profile=profile,
        held_out=held_out is not None,
        settings=_settings(top, examples, ks, percentile, internal_batch_size, seed),
        facts=survey.facts(),
        versions=installed_versions(),
        seconds=time.perf_counter() - began,
    )


def _check(first: int, second: int, top: int, ks: Sequence[int]) -> None:
    if first == second:
        raise ValueError(f"expected two classes, got class {first} twice: change one")
    if top < 1 or min(ks, default=0) < 1:
        raise ValueError(f"expected positive top and ks, got {top} and {list(ks)}")


def _settings(
    top: int, examples: int, ks: Sequence[int], percentile: float, rows: int | None, seed: int
) -> dict[str, Any]:
    return {
        "top": top,
        "examples": examples,
        "ks": list(ks),
        "percentile": percentile,
        "internal_batch_size": rows,
        "seed": seed,
    }


def _moves(
    survey: Survey,
    loader: Iterable[Any],
    ranked: Sequence[Sequence[SeparatingUnit]],
    side: int,
    ks: Sequence[int],
    replacement: Replacement,
    seed: int,
) -> Moves:
    """Remove one side's units from its pictures, and as many random ones."""
    counts = [k for k in sorted(set(ks)) if k <= len(ranked[side])]
    if not counts:
        return Moves((), 0, {}, {})
    own, other = survey.classes[side], survey.classes[1 - side]
    channels = survey.axis().sizes[0]
    draws = drawn_at_random(channels, _DRAWS, seed)
    rankings = {"contribution": [row.unit.index[0] for row in ranked[side]], **draws}
    return count_moves(
        survey.model,
        survey.cut,
        rankings,
        loader,
        own,
        other,
        counts,
        replacement,
        show_progress=survey.show_progress,
    )


def _separating(
    profile: InfluenceProfile, classes: tuple[int, int]
) -> tuple[list[SeparatingUnit], list[SeparatingUnit]]:
    """Return the units that speak for the first class, and for the second, the first ones first."""
    difference = profile.difference(*classes)
    total = float(difference.mean.abs().sum()) or 1.0
    means = [profile.mean(group) for group in classes]
    found: tuple[list[SeparatingUnit], list[SeparatingUnit]] = ([], [])
    for i in difference.mean.argsort(descending=True, stable=True).tolist():
        value = float(difference.mean[i])
        if value > 0:
            unit = UnitInfluence("channel", (i,), value, value / total)
            error = float(difference.standard_error[i])
            row = SeparatingUnit(unit, error, float(means[0][i]), float(means[1][i]))
            found[0 if row.is_for_first else 1].append(row)
    return found


def _looked_at(
    survey: Survey, examiner: Examiner, sides: Sequence[Sequence[SeparatingUnit]], count: int
) -> list[tuple[SeparatingUnit, ...]]:
    """Return the units with the pictures of their class on which they do most for it."""
    rows = [row for side in sides for row in side]
    own = [survey.classes[side] for side, units in enumerate(sides) for _ in units]
    second = [label == survey.classes[1] for label in own]
    units = [row.unit for row in rows]
    podium = survey.podium(
        examiner.axis, units, count, own, [-1 if lowest else 1 for lowest in second]
    )
    looks = examiner.looks(units, podium, "contribution", lowest=second) if rows else []
    shown_rows = [changed(row, looks=seen) for row, seen in zip(rows, looks, strict=True)]
    split = len(sides[0])
    return [tuple(shown_rows[:split]), tuple(shown_rows[split:])]

"""Finding what a class is to a network: one survey of its pictures, and what experts make of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, Literal

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.data.batches import labelled, repeatable
from captum_influence.data.labels import Names, class_name
from captum_influence.experts.curves.find import expert_curves
from captum_influence.experts.curves.result import ExpertCurves
from captum_influence.explanations.essences.result import Essence, EssentialUnit
from captum_influence.explanations.prototypes.result import Prototype
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.devices import device_of
from captum_influence.reports.asked import installed_versions
from captum_influence.units.displays import rescaled
from captum_influence.units.exemplars import Examiner
from captum_influence.units.ranking import By, UnitInfluence
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.survey import Activity, Survey

__all__ = ["drawn_at_random", "essence"]

_DRAWS = 5  # random rankings, counted together
Mode = Literal["keep", "remove"]


def essence(
    model: nn.Module,
    layer: nn.Module | str | Cut,
    loader: Iterable[Any],
    target: int,
    *,
    held_out: Iterable[Any] | None = None,
    quantity: Quantity | None = None,
    distribution: Distribution | None = None,
    by: By = "influence",
    top: int = 5,
    examples: int = 3,
    ks: Sequence[int] | None = None,
    replace: Replace | Replacement = 0,
    reference: Tensor | Iterable[Any] | None = None,
    prototype: Prototype | None = None,
    display: Callable[[Tensor], Tensor] | None = None,
    class_names: Names = None,
    percentile: float = 95.0,
    smoothing: float | None = None,
    internal_batch_size: int | None = None,
    seed: int = 0,
    show_progress: bool = False,
) -> Essence:
    """Find what a class is to a network: its channels over many pictures, and what they bear.

    Channels are ranked by their mean influence on the class's score over the class's pictures, as
    :class:`InfluenceProfile` has it. Each top one is shown on the pictures where it contributes
    most, and where in the loader it is most active. Whether the class rests on them is found out
    by removing the first k, and by keeping nothing else: the experts of Leino et al. (2018).

    Args:
        model: the network, in eval mode.
        layer: a module, a dotted name or a Cut.
        loader: yields (images, labels) in a fixed order or not; pictures of other classes are what
            the class is told from.
        target: the class.
        held_out: yields (images, labels) that experts are tried on; None: the loader.
        quantity: what is asked of the pictures; None: the score of the class.
        distribution: over which inputs; None: four points on each picture's path from zero for
            means, 16 for single pictures.
        by: what ranks channels: ``"influence"`` or ``"contribution"``; both are reported.
        top: how many channels to show.
        examples: how many pictures for each.
        ks: how many channels experts have; None: 1, 2, 3, 4, 6, 8, 12, ... up to all.
        replace: what takes the place of removed units, with its ``reference``: see
            :class:`Expert`.
        reference: see ``replace``.
        prototype: of the class, to be shown beside it; see :func:`prototype`.
        display: turns one input into a picture (3, height, width) in [0, 1]; None: rescaling.
        class_names: a name for each class.
        percentile: masks keep what lies above it.
        smoothing: of maps before masks and figures, see :func:`explain`.
        internal_batch_size: (example, point) rows per pass.
        seed: of random rankings and of ``replace="resample"``.
        show_progress: show progress bars.

    Raises:
        ValueError: if the loader holds no picture of the class.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(32, seed=5).stacked()]
        >>> found = essence(load_demo_network(), "relu5", scenes, 0, top=2, examples=1)
        >>> found.count, len(found.units)
        (4, 2)
    """
    began, cut = time.perf_counter(), Cut.ensure(layer)
    asked = ClassScore(target) if quantity is None else quantity
    survey = Survey(
        model, cut, loader, (target,), asked, distribution, internal_batch_size, show_progress
    )
    axis = survey.axis()
    profiles = tuple(survey.profile(axis, multiply=multiply) for multiply in (False, True))
    rows, against = _rows(profiles, target, top, by)
    examiner = Examiner(
        survey.measurement(), axis, display or rescaled, class_names, percentile, smoothing
    )
    units, activity = _looked_at(survey, examiner, rows, examples)
    replacement = Replacement.ensure(replace, model, cut, reference, seed)
    tried = repeatable(loader if held_out is None else held_out)
    trial = _Trial(survey, tried, ks, replacement, class_names, seed)
    means = profiles[0].mean(target), profiles[1].mean(target), activity.inside
    return Essence(
        network=type(model).__name__,
        layer=layer_name(model, cut),
        target=target,
        name=class_name(target, class_names),
        quantity=asked.in_words(class_names),
        by=by,
        units=units,
        against=tuple(_active(row, activity) for row in against),
        channels=len(means[0]),
        influences=profiles[0],
        contributions=profiles[1],
        kept=trial.kept(*means) if trial.has_rest() else None,
        removed=trial.removed(*means),
        prototype=prototype,
        held_out=held_out is not None,
        settings=_settings(by, top, examples, percentile, internal_batch_size, seed),
        facts=survey.facts(),
        versions=installed_versions(),
        seconds=time.perf_counter() - began,
    )


def _settings(
    by: By, top: int, examples: int, percentile: float, rows: int | None, seed: int
) -> dict[str, Any]:
    return {
        "by": by,
        "top": top,
        "examples": examples,
        "percentile": percentile,
        "internal_batch_size": rows,
        "seed": seed,
    }


def _rows(
    profiles: Sequence[InfluenceProfile], target: int, top: int, by: By
) -> tuple[list[EssentialUnit], list[EssentialUnit]]:
    """Return the units that do most, and those that do least if that is below zero."""
    if top < 1:
        raise ValueError(f"expected top to be a positive number of units, got {top}")
    if by not in ("influence", "contribution"):
        raise ValueError(f'expected by="influence" or by="contribution", got {by!r}')
    means, errors = ([getattr(p, f)(target) for p in profiles] for f in ("mean", "standard_error"))
    ranked = means[0 if by == "influence" else 1]
    total = float(ranked.abs().sum()) or 1.0

    def row(i: int) -> EssentialUnit:
        unit = UnitInfluence("channel", (i,), float(ranked[i]), float(ranked[i]) / total)
        (influence, influence_error), (contribution, contribution_error) = (
            (float(mean[i]), float(error[i])) for mean, error in zip(means, errors, strict=True)
        )
        return EssentialUnit(
            unit, influence, influence_error, contribution, contribution_error, None
        )

    order = _descending(ranked)
    low = [i for i in order[::-1][:top] if float(ranked[i]) < 0]
    return [row(i) for i in order[:top]], [row(i) for i in low]


def _looked_at(
    survey: Survey, examiner: Examiner, rows: Sequence[EssentialUnit], count: int
) -> tuple[tuple[EssentialUnit, ...], Activity]:
    """Return the units with their pictures, and what all are active like."""
    units = [row.unit for row in rows]
    target = survey.classes[0]
    most = survey.podium(examiner.axis, units, count, [target] * len(units), [1] * len(units))
    active, activity = survey.activity(examiner.axis, units, 2 * count)
    looks = examiner.looks(units, most, "contribution")
    found = [
        changed(
            _active(row, activity),
            looks=looks[i],
            active=examiner.examples(active.places[i], "activation"),
        )
        for i, row in enumerate(rows)
    ]
    return tuple(found), activity


def _active(row: EssentialUnit, activity: Activity) -> EssentialUnit:
    (i,) = row.unit.index
    unit = changed(row.unit, activation=float(activity.inside[i]))
    outside = None if activity.outside is None else float(activity.outside[i])
    return changed(row, unit=unit, outside=outside)


@dataclass(frozen=True, eq=False)
class _Trial:
    """The network with few channels, or without them, tried on a loader."""

    survey: Survey
    loader: Iterable[Any]
    ks: Sequence[int] | None
    replacement: Replacement
    names: Names
    seed: int

    def has_rest(self) -> bool:
        """Say whether there are pictures of other classes."""
        (target,), model = self.survey.classes, self.survey.model
        return any(
            bool((labels != target).any()) for _, labels in labelled(self.loader, device_of(model))
        )

    def kept(self, influences: Tensor, contributions: Tensor, activity: Tensor) -> ExpertCurves:
        """Keep nothing but the first k, from both ends where there are signs."""
        rankings = {
            "influence": _from_both_ends(influences),
            "contribution": _from_both_ends(contributions),
            "activation": _descending(activity),
        }
        return self._curves(rankings, "keep", len(contributions))

    def removed(self, influences: Tensor, contributions: Tensor, activity: Tensor) -> ExpertCurves:
        """Remove the first k of those that speak for the class."""
        rankings = {
            "influence": _descending(influences),
            "contribution": _descending(contributions),
            "activation": _descending(activity),
        }
        return self._curves(rankings, "remove", len(contributions))

    def _curves(self, rankings: dict[str, list[int]], mode: Mode, units: int) -> ExpertCurves:
        draws = drawn_at_random(units, _DRAWS, self.seed)
        found = expert_curves(
            self.survey.model,
            self.survey.cut,
            {**rankings, **draws},
            self.loader,
            self.survey.classes[0],
            ks=self.ks,
            mode=mode,
            replace=self.replacement,
            class_names=self.names,
            show_progress=self.survey.show_progress,
        )
        return _together(found, draws)


def drawn_at_random(units: int, draws: int, seed: int) -> dict[str, list[int]]:
    """Return several random orders of the units."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(units, generator=generator).tolist() for _ in range(draws)]
    return {f"random {i}": order for i, order in enumerate(orders)}


def _together(curves: ExpertCurves, draws: Iterable[str]) -> ExpertCurves:
    """Return the curves with the counts of several rankings added up as one, ``"random"``."""
    names = list(draws)
    columns = zip(*(curves.counts[name] for name in names), strict=True)
    added = tuple(sum(column[1:], start=column[0]) for column in columns)
    counts = {n: c for n, c in curves.counts.items() if n not in names}
    return changed(curves, counts={**counts, "random": added})


def _descending(values: Tensor) -> list[int]:
    order: list[int] = values.argsort(descending=True, stable=True).tolist()
    return order


def _from_both_ends(values: Tensor) -> list[int]:
    """Return units in turn from both ends, in the order of ``Expert.from_profile``."""
    lowest: list[int] = values.argsort(stable=True).tolist()
    pairs = zip(_descending(values), lowest, strict=True)
    return list(dict.fromkeys(unit for pair in pairs for unit in pair))

"""Finding what separates two classes, and trying whether the answers hang on it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.data.batches import repeatable
from captum_influence.experts.held_out import HeldOut
from captum_influence.experts.rankings import drawn_at_random
from captum_influence.explanations.effects import Effects, effects_on_class
from captum_influence.explanations.pairs.moves import Moves, count_moves
from captum_influence.explanations.pairs.result import Pair, SeparatingUnit, Side
from captum_influence.network.cuts import layer_name
from captum_influence.reports.asked import Asked
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis
from captum_influence.units.exemplars import Examiner
from captum_influence.units.given_loader import chosen_over
from captum_influence.units.options import Chosen, SurveyOptions
from captum_influence.units.ranking import UnitValues
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.survey import Survey
from captum_influence.units.units_of import LayerLike

__all__ = ["PairOptions", "pair"]

_DRAWS = 5  # random rankings, averaged
_KS = (1, 2, 4, 8, 16, 32)
Sides = tuple[list[SeparatingUnit], list[SeparatingUnit]]


class PairOptions(SurveyOptions, total=False):
    """What :func:`pair` takes by keyword beside what every verb does.

    ``ks`` and ``replace`` are those of :class:`HeldOut`, where ``held_out`` is a loader, or None.
    """

    ks: Sequence[int] | None
    replace: Replace | Replacement | None


def pair(
    model: nn.Module,
    loader: Iterable[Any],
    layer: LayerLike | None,
    target: int | str,
    versus: int | str,
    *,
    held_out: HeldOut | Iterable[Any] | None = None,
    distribution: Distribution | None = None,
    top: int = 4,
    examples: int = 3,
    **options: Unpack[PairOptions],
) -> Pair:
    r"""Find which units separate two classes, and whether answers move without them.

    The question is the comparative one, q = score(target) − score(versus), over pictures of both
    classes. A unit separates them by the difference of its mean contributions,
    :math:`\bar c_j(\text{target}) - \bar c_j(\text{versus})`, counted from what a removal puts in
    its place, by default its mean over pictures of both. It is evidence for the class on whose
    pictures it is more active. The units are removed from some pictures, one by one and together,
    beside random ones; and from those that are answered right, to see which answers hang on them.

    Args:
        model: the network, in eval mode.
        loader: yields (images, labels), or prompts as :func:`essence` takes them; only those of the
            two classes are used.
        layer: a module, a dotted name, a Cut, or :class:`UnitsOf` along one dimension; None: the
            last layer with several places for each channel.
        target: a class, by number or name.
        versus: the class that it is compared with.
        held_out: yields (images, labels) that removal is tried on; or :class:`HeldOut`, which also
            says how many units are removed, and what takes their place. None: the loader, and up
            to 1, 2, 4, 8, 16, 32 units, as far as there are so many for a class.
        distribution: see :func:`essence`.
        top: how many units to show for each class.
        examples: how many pictures for each.
        options: see :class:`PairOptions`, and those of every verb over a loader,
            :class:`SurveyOptions`; units are always ranked by contribution.

    Raises:
        ValueError: if the classes are the same, or the loader holds no picture of one of them.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(32, seed=5).stacked()]
        >>> found = pair(load_demo_network(), scenes, "relu5", 0, 1, top=1, examples=1)
        >>> found.first.count, found.second.count
        (4, 4)
    """
    asked, began = Asked.of(pair, locals()), time.perf_counter()
    chosen, given = chosen_over("pair", model, loader, layer, options, PairOptions)
    tried = HeldOut.ensure("pair", held_out, options).taken(given.also)
    _check(top, chosen.by)
    classes, wanted = _compared(given.target(target), given.target(versus))
    survey = given.survey(classes, wanted, distribution, chosen)
    with chosen.run.seeded():
        axis = survey.axis()
        survey = survey.along(axis).removing(tried.replace)
        profile = replace(survey.profile(axis, multiply=True), asked=asked.at(".profile"))
        ranked = _separating(profile, survey.active(axis), axis)
        examiner = Examiner(survey.measurement(), axis, chosen.shown)
        seen = _looked_at(survey, examiner, [rows[:top] for rows in ranked], examples)
        moves = _Removal.of(survey, axis, tried).moves(ranked)
        effects = _effects(survey, chosen, seen)
    return Pair(
        asked=asked,
        network=type(given.network).__name__,
        layer=layer_name(given.network, survey.cut),
        quantity=wanted.in_words(chosen.shown.class_names),
        **_sides(survey, profile, chosen.shown, seen, effects, moves),
        profile=profile,
        held_out=tried.loader is not None,
        noun=survey.noun,
        facts={**survey.facts(), "percentile": chosen.shown.percentile},
        seconds=time.perf_counter() - began,
    )


def _sides(
    survey: Survey,
    profile: InfluenceProfile,
    shown: Shown,
    seen: Sequence[tuple[SeparatingUnit, ...]],
    effects: Sequence[Effects | None],
    moves: Sequence[Moves],
) -> dict[str, Side]:
    """Return what belongs to either class."""
    return {
        place: Side(
            target=number,
            name=shown.name(number),
            count=profile.count(number),
            units=rows,
            effects=lost,
            moves=moved,
            noun=survey.noun,
        )
        for place, number, rows, lost, moved in zip(
            ("first", "second"), survey.classes, seen, effects, moves, strict=True
        )
    }


def _effects(
    survey: Survey, chosen: Chosen, seen: Sequence[tuple[SeparatingUnit, ...]]
) -> list[Effects | None]:
    """Return what removing each class's units does on its pictures; None without any."""
    sides = zip(survey.classes, seen, (1, -1), strict=True)
    return [
        effects_on_class(survey, chosen, target, [row.unit for row in rows], sign=sign)
        if rows
        else None
        for target, rows, sign in sides
    ]


def _compared(first: int, second: int) -> tuple[tuple[int, int], Quantity]:
    if first == second:
        raise ValueError(f"expected two classes, got class {first} twice: change one")
    return (first, second), ClassScore(first) - ClassScore(second)


def _check(top: int, by: str) -> None:
    if top < 1:
        raise ValueError(f"expected top to be a positive number of units, got {top}")
    if by != "contribution":
        raise ValueError(
            f'expected by="contribution", got by={by!r}: classes are told apart by what units do '
            "on their pictures, not by what they would do"
        )


@dataclass(frozen=True, eq=False)
class _Removal:
    """The network without some units, tried on pictures of either class."""

    survey: Survey
    axis: Axis
    loader: Iterable[Any]
    ks: Sequence[int]

    @staticmethod
    def of(survey: Survey, axis: Axis, tried: HeldOut) -> _Removal:
        """Prepare it."""
        loader = repeatable(survey.loader if tried.loader is None else tried.loader)
        return _Removal(survey, axis, loader, _KS if tried.ks is None else tried.ks)

    def moves(self, ranked: Sides) -> list[Moves]:
        """Remove each class's units from its pictures, and as many random ones."""
        return [self._of(side, ranked[side]) for side in (0, 1)]

    def _of(self, side: int, rows: Sequence[SeparatingUnit]) -> Moves:
        counts = [k for k in sorted(set(self.ks)) if k <= len(rows)]
        if not counts:
            return Moves(ks=(), answers=0, moved={}, left={})
        survey, (units,) = self.survey, self.axis.sizes
        draws = drawn_at_random(units, _DRAWS, survey.run.seed)
        return count_moves(
            survey.model,
            survey.units,
            {"contribution": [row.unit.index[0] for row in rows], **draws},
            self.loader,
            (survey.classes[side], survey.classes[1 - side]),
            counts,
            survey.removed,
            show_progress=survey.run.show_progress,
        )


def _separating(profile: InfluenceProfile, active: Mapping[int, Tensor], axis: Axis) -> Sides:
    """Return the units that are evidence for the first class, and for the second, strongest first.

    A unit whose difference isn't above zero separates nothing.
    """
    first, second = active
    difference = profile.difference(first, second)
    values = UnitValues(
        axis=axis, values=difference.mean, standard_errors=difference.standard_error
    )
    contributions = profile.mean(first), profile.mean(second)
    found: Sides = ([], [])
    for unit in values.highest():
        if unit.value > 0:
            (i,) = unit.index
            row = SeparatingUnit(
                unit=unit,
                on_first=float(contributions[0][i]),
                on_second=float(contributions[1][i]),
                active_first=float(active[first][i]),
                active_second=float(active[second][i]),
            )
            found[0 if row.is_for_first else 1].append(row)
    return found


def _looked_at(
    survey: Survey, examiner: Examiner, sides: Sequence[Sequence[SeparatingUnit]], count: int
) -> list[tuple[SeparatingUnit, ...]]:
    """Return the units with the pictures of their class on which they contribute most to it."""
    rows = [row for side in sides for row in side]
    own = [survey.classes[side] for side, units in enumerate(sides) for _ in units]
    second = [label == survey.classes[1] for label in own]
    units = [row.unit for row in rows]
    podium = survey.podium(
        examiner.axis, units, count, own, [-1 if lowest else 1 for lowest in second]
    )
    looks = examiner.looks(units, podium, "contribution", lowest=second) if rows else []
    shown_rows = [replace(row, looks=seen) for row, seen in zip(rows, looks, strict=True)]
    split = len(sides[0])
    return [tuple(shown_rows[:split]), tuple(shown_rows[split:])]

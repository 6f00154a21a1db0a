"""Finding what a class is to a network: one survey of its pictures, and what experts make of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.data.batches import repeatable
from captum_influence.data.labels import Names
from captum_influence.experts.class_question import AGAINST_REST, SIGNED, ClassQuestion
from captum_influence.experts.curves.find import expert_curves
from captum_influence.experts.curves.result import ExpertCurves, Mode
from captum_influence.experts.held_out import HeldOut
from captum_influence.experts.rankings import drawn_at_random
from captum_influence.explanations.effects import effects_on_class
from captum_influence.explanations.essences.result import Essence, EssentialUnit
from captum_influence.explanations.prototypes.result import Prototype
from captum_influence.network.cuts import layer_name
from captum_influence.reports.asked import Asked
from captum_influence.units.axes import Axis
from captum_influence.units.exemplars import Examiner
from captum_influence.units.given_loader import chosen_over
from captum_influence.units.options import Chosen, SurveyOptions
from captum_influence.units.ranking import By, UnitInfluence, UnitValues
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.survey import Activity, Survey, has_others
from captum_influence.units.targets import TargetLike
from captum_influence.units.units_of import LayerLike

__all__ = ["EssenceOptions", "essence"]

_DRAWS = 5  # random rankings, counted together


class EssenceOptions(SurveyOptions, total=False):
    """What :func:`essence` takes by keyword beside what every verb does.

    ``prototype`` is a picture made for the class, to be shown beside it; see :func:`prototype`.
    ``ks`` and ``replace`` are those of :class:`HeldOut`, where ``held_out`` is a loader, or None.
    """

    prototype: Prototype | None
    ks: Sequence[int] | None
    replace: Replace | Replacement | None


def essence(
    model: nn.Module,
    loader: Iterable[Any],
    layer: LayerLike | None,
    target: int | str,
    *,
    held_out: HeldOut | Iterable[Any] | None = None,
    quantity: TargetLike = None,
    distribution: Distribution | None = None,
    top: int = 5,
    examples: int = 3,
    **options: Unpack[EssenceOptions],
) -> Essence:
    """Find what a class is to a network: its units over many pictures, and what they carry of it.

    Units are ranked by their mean contribution to the class's score over the class's pictures: the
    influence at the picture, times how far the activation lies from what a removal puts there, by
    default the mean over the loader. ``by="influence"`` ranks by the influence alone, as the paper
    does, which says what a unit would do rather than what it does. Both are reported. The top units
    are removed from some of the pictures, one by one and together, beside random ones. Each is
    shown on the pictures where it contributes most, and where in the loader it is most active.
    Whether the class rests on them is found out by removing the first k, and by keeping nothing
    else: the experts of Leino et al. (2018).

    Args:
        model: the network, in eval mode.
        loader: yields (images, labels) in a fixed order or not; pictures of other classes are what
            the class is told from. Of prompts: what a tokenizer returns, or ids, and their classes
            or next tokens; see the docs on transformers.
        layer: a module, a dotted name, a Cut, or :class:`UnitsOf` along one dimension; None: the
            last layer with several places for each channel.
        target: the class, by number or name; of a language model the next token, also by its text.
        held_out: yields (images, labels) that experts are tried on; or :class:`HeldOut`, which
            also says how many units they have, and what takes the place of removed ones. None:
            the loader, and 1, 2, 3, 4, 6, 8, 12, ... units up to all.
        quantity: what is asked of the pictures; None: the score of the class.
        distribution: over which inputs; None: at each picture itself. Contributions along a path
            count from its baseline, unless ``replace`` is given.
        top: how many units to show.
        examples: how many pictures for each.
        options: see :class:`EssenceOptions` and :class:`SurveyOptions`.

    Raises:
        ValueError: if the loader holds no picture of the class.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(32, seed=5).stacked()]
        >>> found = essence(load_demo_network(), scenes, "relu5", 0, top=2, examples=1)
        >>> found.count, len(found.units)
        (4, 2)
    """
    asked, began = Asked.of(essence, locals()), time.perf_counter()
    chosen, given = chosen_over("essence", model, loader, layer, options, EssenceOptions)
    network, shown, number = given.network, chosen.shown, given.target(target)
    wanted = given.question(number if quantity is None else quantity)
    tried = HeldOut.ensure("essence", held_out, options).taken(given.also)
    survey = given.survey((number,), wanted, distribution, chosen)
    with chosen.run.seeded():
        found = _found(asked, survey, chosen, tried, top, examples)
    return Essence(
        asked=asked,
        network=type(network).__name__,
        layer=layer_name(network, survey.cut),
        target=number,
        name=shown.name(number),
        quantity=wanted.in_words(shown.class_names),
        by=chosen.by,
        prototype=options.get("prototype"),
        held_out=tried.loader is not None,
        noun=survey.noun,
        seconds=time.perf_counter() - began,
        **found,
    )


def _found(
    asked: Asked, survey: Survey, chosen: Chosen, tried: HeldOut, top: int, examples: int
) -> dict[str, Any]:
    """Return the fields of an :class:`Essence` that have to be measured."""
    axis = survey.axis()
    survey = survey.along(axis).removing(tried.replace)
    means = _Means.of(survey, axis, chosen.by, asked)
    examiner = Examiner(survey.measurement(), axis, chosen.shown)
    units, activity = _looked_at(survey, examiner, means.highest(top), examples)
    trial = _Trial.of(asked, survey, tried, means, activity, chosen.shown.class_names)
    effects = effects_on_class(survey, chosen, survey.classes[0], [row.unit for row in units])
    return {
        "units": units,
        "effects": effects,
        "facts": {**survey.facts(), "percentile": chosen.shown.percentile},
        "against": tuple(_active(row, activity) for row in means.against(top)),
        "influences": means.influences,
        "contributions": means.contributions,
        "kept": trial.kept(),
        "removed": trial.removed(),
    }


@dataclass(frozen=True, eq=False)
class _Means:
    """What every unit did, averaged over the class's pictures.

    Attributes:
        target: the class.
        influences: the profile of influences.
        contributions: the profile of contributions.
        ranked: the means of the one that ranks units.
    """

    target: int
    influences: InfluenceProfile
    contributions: InfluenceProfile
    ranked: UnitValues

    @staticmethod
    def of(survey: Survey, axis: Axis, by: By, asked: Asked) -> _Means:
        """Measure them."""
        (target,) = survey.classes
        found = [
            replace(survey.profile(axis, multiply=multiply), asked=asked.at(f".{name}"))
            for name, multiply in (("influences", False), ("contributions", True))
        ]
        chosen = found[by == "contribution"]
        errors = chosen.standard_error(target) if chosen.count(target) > 1 else None
        ranked = UnitValues(axis=axis, values=chosen.mean(target), standard_errors=errors)
        return _Means(target, found[0], found[1], ranked)

    def highest(self, top: int) -> list[EssentialUnit]:
        """Return the units with the largest means."""
        return [self._row(unit) for unit in self.ranked.highest(top)]

    def against(self, top: int) -> list[EssentialUnit]:
        """Return the units with the lowest means, if they are below zero."""
        return [self._row(unit) for unit in self.ranked.against(top)]

    def _row(self, unit: UnitInfluence) -> EssentialUnit:
        (i,) = unit.index
        return EssentialUnit(
            unit=unit,
            influence=float(self.influences.mean(self.target)[i]),
            influence_error=float(self.influences.standard_error(self.target)[i]),
            contribution=float(self.contributions.mean(self.target)[i]),
            contribution_error=float(self.contributions.standard_error(self.target)[i]),
            outside=None,
        )


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
        replace(
            _active(row, activity),
            looks=looks[i],
            active=examiner.examples(active.places[i], "activation"),
        )
        for i, row in enumerate(rows)
    ]
    return tuple(found), activity


def _active(row: EssentialUnit, activity: Activity) -> EssentialUnit:
    (i,) = row.unit.index
    unit = replace(row.unit, activation=float(activity.inside[i]))
    outside = None if activity.outside is None else float(activity.outside[i])
    return replace(row, unit=unit, outside=outside)


@dataclass(frozen=True, eq=False)
class _Trial:
    """The network with few units, or without them, tried on pictures.

    Attributes:
        asked: the call of the verb.
        survey: what was asked of the class.
        loader: yields (images, labels) that they are tried on.
        ks: how many units.
        values: of each ranking what it goes by, (units,).
        names: of the classes.
    """

    asked: Asked
    survey: Survey
    loader: Iterable[Any]
    ks: Sequence[int] | None
    values: dict[str, Tensor]
    names: Names

    @staticmethod
    def of(
        asked: Asked,
        survey: Survey,
        tried: HeldOut,
        means: _Means,
        activity: Activity,
        names: Names,
    ) -> _Trial:
        """Prepare it."""
        loader = repeatable(survey.loader if tried.loader is None else tried.loader)
        values = {
            "influence": means.influences.mean(means.target),
            "contribution": means.contributions.mean(means.target),
            "activation": activity.inside,
            **_others(survey, means.target),
        }
        return _Trial(asked, survey, loader, tried.ks, values, names)

    def kept(self) -> ExpertCurves | None:
        """Keep nothing but the first k, from both ends where there are signs; None without a rest.

        The rest is pictures of other classes.
        """
        if not has_others(self.loader, self.survey.model, self.survey.classes[0]):
            return None
        rankings = {name: _descending(values) for name, values in self.values.items()}
        for name in set(SIGNED) & set(rankings):
            rankings[name] = _from_both_ends(self.values[name])
        return self._curves(rankings, "keep")

    def removed(self) -> ExpertCurves:
        """Remove the first k of those that raise the class's score."""
        return self._curves({n: _descending(values) for n, values in self.values.items()}, "remove")

    def _curves(self, rankings: dict[str, list[int]], mode: Mode) -> ExpertCurves:
        survey = self.survey
        draws = drawn_at_random(len(self.values["influence"]), _DRAWS, survey.run.seed)
        found = expert_curves(
            survey.model,
            self.loader,
            survey.units,
            survey.classes[0],
            {**rankings, **draws},
            ks=self.ks,
            mode=mode,
            replace=survey.removed,
            class_names=self.names,
            show_progress=survey.run.show_progress,
        )
        asked = self.asked.at(".kept" if mode == "keep" else ".removed")
        return replace(_together(found, list(draws)), asked=asked)


def _others(survey: Survey, target: int) -> dict[str, Tensor]:
    """Return what else units may be ranked by, (units,), with the rest where there is one."""
    others = has_others(survey.loader, survey.model, target)
    by = ["magnitude", *(AGAINST_REST if others else ())]
    asked = ClassQuestion(
        model=survey.model,
        units=survey.units,
        target=target,
        quantity=survey.quantity,
        distribution=survey.over,
        n_steps=0,
        run=replace(survey.run, show_progress=False),
    )
    found = asked.over(survey.loader, by).values
    return {name: found[name].values for name in by}


def _together(curves: ExpertCurves, draws: Sequence[str]) -> ExpertCurves:
    """Return the curves with the counts of several rankings added up as one, ``"random"``."""
    columns = zip(*(curves.counts[name] for name in draws), strict=True)
    added = tuple(sum(column[1:], start=column[0]) for column in columns)
    counts = {n: c for n, c in curves.counts.items() if n not in draws}
    rankings = {n: units for n, units in curves.rankings.items() if n not in draws}
    return replace(curves, counts={**counts, "random": added}, rankings=rankings)


def _from_both_ends(values: Tensor) -> list[int]:
    """Return units in turn from both ends, in the order of ``Expert.from_profile``."""
    lowest: list[int] = values.argsort(stable=True).tolist()
    pairs = zip(_descending(values), lowest, strict=True)
    return list(dict.fromkeys(unit for pair in pairs for unit in pair))


def _descending(values: Tensor) -> list[int]:
    order: list[int] = values.argsort(descending=True, stable=True).tolist()
    return order

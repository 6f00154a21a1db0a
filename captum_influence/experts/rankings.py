"""A class's units in the order of what they do, by influence and by what it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.experts.class_question import (
    AGAINST_REST,
    SIGNED,
    ClassMeasures,
    ClassQuestion,
)
from captum_influence.reports.asked import Asked
from captum_influence.units.find import RankingOptions
from captum_influence.units.given_loader import chosen_over
from captum_influence.units.options import Chosen
from captum_influence.units.ranking import UnitInfluence, UnitValues
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.result import Ranking
from captum_influence.units.survey import has_others
from captum_influence.units.targets import TargetLike
from captum_influence.units.units_of import LayerLike

__all__ = ["Ends", "RankedBy", "class_rankings", "drawn_at_random", "from_both_ends"]

RankedBy = Literal[
    "contribution",
    "influence",
    "magnitude",
    "contrast",
    "activation",
    "selectivity",
    "conductance",
    "random",
]
Ends = Literal["both", "top"]
Thing = TypeVar("Thing")
EVERY: tuple[RankedBy, ...] = get_args(RankedBy)


def class_rankings(
    model: nn.Module,
    loader: Iterable[Any],
    layer: LayerLike,
    target: int | str,
    *,
    by: Sequence[RankedBy] | None = None,
    quantity: TargetLike = None,
    distribution: Distribution | None = None,
    replace: Replace | Replacement | None = None,
    ends: Ends = "both",
    n_steps: int = 50,
    **options: Unpack[RankingOptions],
) -> dict[str, Ranking]:
    """Rank all units of a layer for a class, averaged over its images, the first one first.

    Args:
        model: the network.
        loader: yields (images, labels); those of other classes are what ``"contrast"`` and
            ``"selectivity"`` tell the class from.
        layer: a module, a dotted name, a Cut or :class:`UnitsOf`.
        target: the class, by number or name.
        by: ``"influence"``; ``"contribution"``, influence × what removal changes; ``"magnitude"``,
            the absolute influence; ``"contrast"``, influence × (the class's mean activation − that
            of the rest); mean ``"activation"``; ``"selectivity"``, d′ of the activation between the
            class and the rest, which takes no gradient; ``"conductance"``, Captum's
            LayerConductance from a baseline of zero; ``"random"``. None: all that the loader has
            images for.
        quantity: what influence is on; None: the score of the class.
        distribution: over which inputs; None: at each image itself.
        replace: what a removal puts in a unit's place, see :func:`essence`.
        ends: ``"both"``: in turn the unit that raises the quantity most and the one that lowers it
            most, as the paper's experts have it: without the second, an expert says its class of
            everything. ``"top"``: only the first. Activations and chance have one end.
        n_steps: points of the conductance.
        options: see :class:`RankingOptions`; ``seed`` is also that of the random order.

    Raises:
        ValueError: if the loader holds no image of the class, none of others where a ranking needs
            some, or a ranking isn't one of these.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(16, seed=5).stacked()]
        >>> found = class_rankings(load_demo_network(), scenes, "relu5", 0, by=["activation"])
        >>> len(found["activation"])
        96
    """
    asked = Asked.of(class_rankings, locals())
    chosen, given = chosen_over("class_rankings", model, loader, layer, options, RankingOptions)
    loader, names, number = given.loader, chosen.shown.class_names, given.target(target)
    by = _checked(by, ends, loader, given.network, number)
    asked_for = ClassQuestion(
        model=given.network,
        units=chosen.units,
        target=number,
        quantity=given.question(number if quantity is None else quantity),
        distribution=given.distribution(distribution) or Point(),
        n_steps=n_steps,
        run=chosen.run,
    )
    with chosen.run.seeded():
        if "contribution" in by:
            asked_for = asked_for.counting(replace, loader)
        found = asked_for.over(loader, by)
    facts = {name: {**asked_for.facts(name, names), **found.facts(name)} for name in by}
    return {
        name: _ranking(asked.at(f"[{name!r}]"), name, found, ends, chosen, facts[name])
        for name in by
    }


def _ranking(
    asked: Asked,
    name: RankedBy,
    found: ClassMeasures,
    ends: Ends,
    chosen: Chosen,
    facts: Mapping[str, Any],
) -> Ranking:
    own, values = _ends(name, ends), found.values[name]
    facts, units = {**facts, "ends": own}, _ordered(values, own)
    return Ranking.of(asked, values, units, name, chosen.units.aggregate, facts)


def from_both_ends(units: Sequence[Thing]) -> tuple[Thing, ...]:
    """Return units, the highest first, in the order first, last, second, last but one, ..."""
    pairs = zip(units, reversed(units), strict=True)
    return tuple(unit for pair in pairs for unit in pair)[: len(units)]


def _ends(name: str, ends: Ends) -> Ends:
    """Return the ends of one ranking: activations and chance have no signs."""
    return ends if name in SIGNED else "top"


def _ordered(values: UnitValues, ends: Ends) -> tuple[UnitInfluence, ...]:
    units = values.highest()
    return from_both_ends(units) if ends == "both" else units


def drawn_at_random(units: int, draws: int, seed: int) -> dict[str, list[int]]:
    """Return several random orders of the units, ``"random 0"``, ``"random 1"``, ..."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(units, generator=generator).tolist() for _ in range(draws)]
    return {f"random {i}": order for i, order in enumerate(orders)}


def _checked(
    by: Sequence[RankedBy] | None, ends: str, loader: Iterable[Any], model: nn.Module, target: int
) -> Sequence[RankedBy]:
    """Return what is ranked by; None: all that the loader has images for."""
    if by is None:
        alone = not has_others(loader, model, target)
        by = [name for name in EVERY if not (alone and name in AGAINST_REST)]
    unknown = [name for name in by if name not in EVERY]
    if unknown or not by:
        raise ValueError(f"expected rankings by some of {list(EVERY)}, got {unknown or list(by)}")
    if ends not in ("both", "top"):
        raise ValueError(f'expected ends="both" or ends="top", got {ends!r}')
    return by

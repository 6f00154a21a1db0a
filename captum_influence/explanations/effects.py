"""What removing units really does, beside what the ranking said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captum_influence.attr.quantities import Quantity
from captum_influence.explanations.bases import Bases, compared_bases
from captum_influence.metrics.ranks import spearman
from captum_influence.metrics.unit_removal import RemovedUnits, removing_units
from captum_influence.network.inputs import noun_of
from captum_influence.reports.words import counted
from captum_influence.units.options import Chosen
from captum_influence.units.ranking import UnitInfluence, UnitValues
from captum_influence.units.replacement import Replacement
from captum_influence.units.survey import Survey
from captum_influence.visualization.numbers import number

__all__ = ["Effects", "drawn_units", "effects_on_class", "removal_effects"]

_SAMPLE = 64  # units that are removed one by one, to see whether the ranking says what that does
_PICTURES = 16  # of a class
_DRAWS = 10  # random sets, each as many as are shown


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What was estimated of units, and what their removal did: q(x) − q(x without them).

    Attributes:
        replacement: what took a removed unit's place, in words.
        in_its_units: whether what units are ranked by is an estimate in the quantity's units, as a
            contribution summed over the unit is.
        estimates: what each shown unit was said to do.
        alone: what the removal of each shown unit alone did.
        together_estimate: the sum of the estimates.
        together: what the removal of all shown units at once did.
        random: what the removal of as many other units did, drawn at random, once per draw.
        random_alone: the mean over units drawn at random, each removed alone, of its absolute
            effect.
        agreement: Spearman's rank correlation of estimate and effect over ``sampled`` units; None
            where one of the two is constant.
        sampled: how many of the layer's units, drawn at random, were removed alone for that.
        units: how many the layer has.
        inputs: over how many inputs all that is averaged.
        noun: what one of these is called.
        bases: of units that are concepts, the shown ones beside the layer's channels; else None,
            as over inputs of several shapes.
    """

    replacement: str
    in_its_units: bool
    estimates: tuple[float, ...]
    alone: tuple[float, ...]
    together_estimate: float
    together: float
    random: tuple[float, ...]
    random_alone: float
    agreement: float | None
    sampled: int
    units: int
    inputs: int = 1
    noun: str = "picture"
    bases: Bases | None = None

    @property
    def random_mean(self) -> float:
        """The mean effect of a random set."""
        return math.fsum(self.random) / len(self.random) if self.random else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    def first_in_words(self, quantity: str) -> str:
        """Return what was estimated of the first unit, and what its removal did."""
        lost = self.alone[0]
        does = "lowers" if lost >= 0 else "raises"
        said = f"; estimated: {number(self.estimates[0])}" if self.in_its_units else ""
        return (
            f"Removing it ({self.replacement} in its place) {does} {quantity} by "
            f"{number(abs(lost))}{said}."
        )

    def together_in_words(self, quantity: str) -> str:
        """Return what the removal of all shown units did, beside that of random ones."""
        beside = "" if self.bases is None else f" {self.bases.in_words(quantity)}"
        shown = counted(len(self.alone), "unit")
        if not self.random:
            return (
                f"Together, the {shown} take {number(self.together)} from {quantity}; they are all "
                f"that the layer has, so that there are no others to compare them with.{beside}"
            )
        said = f" (estimated: {number(self.together_estimate)})" if self.in_its_units else ""
        averaged = "" if self.inputs == 1 else f" (the mean over {self.inputs} {self.noun}s)"
        return (
            f"Removed together, the {shown} shown take {number(self.together)}{averaged} from "
            f"{quantity}"
            f"{said}; as many others, drawn at random "
            f"{len(self.random)} times, take {number(self.random_mean)} on average, from "
            f"{number(min(self.random))} to {number(max(self.random))}.{beside}"
        )

    def agreement_in_words(self) -> str:
        """Return whether the ranking says what removal does."""
        of = "all" if self.sampled == self.units else f"{self.sampled} of"
        over = f"Over {of} {counted(self.units, 'unit')} of the layer, removed one by one,"
        if self.agreement is None:
            return f"{over} estimate or effect is the same for each: there is no order to compare."
        return f"{over} estimate and effect have a rank correlation of {self.agreement:.2f}."


def removal_effects(
    network: nn.Module,
    batches: Sequence[Tensor],
    quantity: Quantity,
    replacement: Replacement,
    chosen: Chosen,
    *,
    values: UnitValues,
    shown: Sequence[UnitInfluence],
) -> Effects:
    """Remove units of a layer, one by one and together, and random ones beside them.

    The network runs on from the layer once for each shown unit, for up to 64 others, and for 11
    sets, with every input; what is lost is averaged over these.

    Args:
        network: the network.
        batches: inputs, (examples, ...); several where these differ in shape, as prompts do.
        quantity: what was asked, resolved.
        replacement: what is put in a unit's place.
        chosen: the layer, its axis, and how it is run.
        values: what every unit of the layer was said to do.
        shown: the units that are shown.
    """
    sizes = tuple(values.values.shape)
    flat = [int(np.ravel_multi_index(unit.index, sizes)) for unit in shown]
    # Where the channels are is known by now.
    units = replace(chosen.units, axis=values.axis, heads=None)
    sampled, sets = drawn_units(values.values.numel(), flat, chosen.run.seed)
    apart = [[unit] for unit in (*flat, *sampled)]
    asked = (quantity, replacement, replace(chosen, units=units))
    lost = _lost(network, batches, asked, [apart, [flat, *sets]])
    alone, together = lost[: len(apart)], lost[len(apart) :]
    of_sample = alone[len(flat) :]
    estimates = values.values.flatten().double()
    agreement, cut, bases = float(spearman(estimates[sampled], of_sample)), chosen.units.cut, None
    if cut.basis is not None and values.axis.name == "concept" and shown and len(batches) == 1:
        bases = compared_bases(network, batches[0], quantity, replacement, cut, values, len(shown))
    return Effects(
        replacement=replacement.in_words(),
        in_its_units=chosen.by == "contribution" and chosen.units.aggregate == "sum",
        estimates=tuple(estimates[flat].tolist()),
        alone=tuple(alone[: len(flat)].tolist()),
        together_estimate=float(estimates[flat].sum()),
        together=float(together[0]),
        random=tuple(together[1:].tolist()),
        random_alone=float(of_sample.abs().mean()),
        agreement=None if math.isnan(agreement) else agreement,
        sampled=len(sampled),
        units=values.values.numel(),
        inputs=sum(map(len, batches)),
        noun=noun_of(network),
        bases=bases,
    )


def effects_on_class(
    survey: Survey, chosen: Chosen, target: int, shown: Sequence[UnitInfluence], *, sign: int = 1
) -> Effects:
    """Remove units from some pictures of a class, beside what is estimated on the same pictures.

    Args:
        survey: the question, and what removal puts in a unit's place.
        chosen: how units are ranked, and how the network is run.
        target: the class.
        shown: the units that are shown.
        sign: −1 if they are shown for lowering the quantity.
    """
    pictures, quantity = survey.pictures(target, _PICTURES), sign * survey.quantity
    asked = replace(survey.measurement(), quantity=quantity, by=chosen.by)
    quiet = replace(chosen, units=survey.units, run=asked.run)
    found = [asked.pooled(batch)[0] for batch in pictures]
    examples = sum(map(len, pictures))
    parts = [v.values * (len(b) / examples) for v, b in zip(found, pictures, strict=True)]
    mean = UnitValues(axis=found[0].axis, values=torch.stack(parts).sum(0))
    return removal_effects(
        survey.model, pictures, quantity, survey.removed, quiet, values=mean, shown=shown
    )


def drawn_units(units: int, shown: Sequence[int], seed: int) -> tuple[list[int], list[list[int]]]:
    """Return some units, and sets of others than the shown ones, as many as these."""
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randperm(units, generator=generator)[:_SAMPLE].sort().values.tolist()
    others = torch.tensor([unit for unit in range(units) if unit not in set(shown)])
    if len(others) < len(shown):
        return sample, []
    draws = (torch.randperm(len(others), generator=generator) for _ in range(_DRAWS))
    return sample, [others[order[: len(shown)]].tolist() for order in draws]


def _lost(
    network: nn.Module,
    batches: Sequence[Tensor],
    asked: tuple[Quantity, Replacement, Chosen],
    groups: Sequence[Sequence[Sequence[int]]],
) -> Tensor:
    """Return how much of the quantity is lost without each set of units, float64 (sets,).

    Sets come in groups, each of which is measured by itself.
    """
    examples, lost = sum(map(len, batches)), torch.zeros(sum(map(len, groups)), dtype=torch.float64)
    for batch in batches:
        with removing_units(network, batch, *asked) as removed:
            parts = [_lost_of(removed, sets) for sets in groups]
        lost += torch.cat(parts) * (len(batch) / examples)
    return lost


def _lost_of(removed: RemovedUnits, sets: Sequence[Sequence[int]]) -> Tensor:
    """Return the same over one batch."""
    gone = torch.zeros(len(sets), removed.features, dtype=torch.bool)
    for place, units in enumerate(sets):
        gone[place, list(units)] = True
    whole = removed.quantity.double()[:, None]
    left = removed.without(gone.expand(len(whole), *gone.shape)).double()
    return (whole - left).mean(dim=0).cpu()

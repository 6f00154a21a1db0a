"""Units of a prompt replaced for real, beside what was estimated of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from captum_influence.explanations.effects import drawn_units
from captum_influence.metrics.ranks import spearman
from captum_influence.reports.words import counted
from captum_influence.units.prompts.patching import Patching
from captum_influence.units.prompts.sites import Kind, Site
from captum_influence.units.prompts.spoken import PromptUnit
from captum_influence.visualization.numbers import number

__all__ = ["Estimated", "PatchedUnits", "Trial", "tried"]


@dataclass(frozen=True, kw_only=True)
class PatchedUnits:
    """Units of one kind, replaced for real: q(x) − q(x with them replaced).

    Attributes:
        kind: ``"token"``, ``"head"`` or ``"neuron"``.
        units: those whose estimates are largest, with either sign.
        together_estimate: the sum of their estimates.
        together: what replacing them all at once did.
        random: what replacing as many others did, drawn at random, once per draw.
        random_alone: the mean absolute effect of single units drawn at random.
        agreement: Spearman's rank correlation of estimate and effect over ``sampled`` units; None
            where one of the two is constant.
        sampled: how many units, drawn at random, were replaced alone for that.
        count: how many there are whose activation isn't what takes its place.
    """

    kind: Kind
    units: tuple[PromptUnit, ...]
    together_estimate: float
    together: float
    random: tuple[float, ...]
    random_alone: float
    agreement: float | None
    sampled: int
    count: int

    def together_in_words(self, quantity: str) -> str:
        """Return what replacing all shown units did, beside that of random ones; empty of one."""
        if len(self.units) == 1:
            return ""
        shown = counted(len(self.units), self.kind)
        said = (
            f"Replaced together, the {shown} shown take {number(self.together)} from {quantity} "
            f"(estimated: {number(self.together_estimate)})"
        )
        if not self.random:
            return f"{said}; there are not as many others to compare them with."
        mean = sum(self.random) / len(self.random)
        return (
            f"{said}; as many others, drawn at random {len(self.random)} times, take "
            f"{number(mean)} on average, from {number(min(self.random))} to "
            f"{number(max(self.random))}."
        )

    def agreement_in_words(self) -> str:
        """Return whether estimates say what replacing does; empty of one unit."""
        if self.count == 1:
            return ""
        of = "all" if self.sampled == self.count else f"{self.sampled} of"
        over = f"Over {of} {counted(self.count, self.kind)}, replaced one by one,"
        if self.agreement is None:
            return f"{over} estimate or effect is the same for each: there is no order to compare."
        return f"{over} estimate and effect have a rank correlation of {self.agreement:.2f}."

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Estimated:
    """A unit at a site, and what was estimated of it."""

    site: Site
    unit: int
    estimate: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """What was tried of one kind of units.

    Attributes:
        shown: the units whose estimates are largest.
        effects: what replacing each of them did.
        others: the rest of :class:`PatchedUnits`, by its names.
    """

    shown: tuple[Estimated, ...]
    effects: tuple[float, ...]
    others: Mapping[str, Any]


def tried(patching: Patching, places: Sequence[Estimated], top: int, seed: int) -> Trial:
    """Replace the units with the largest estimates, one by one and together, and random ones.

    Args:
        patching: the prompt.
        places: all units of a kind that can be replaced by something else.
        top: how many are shown.
        seed: of the random ones.
    """
    said = torch.tensor([one.estimate for one in places], dtype=torch.float64)
    units = [(one.site, one.unit) for one in places]
    shown = said.abs().argsort(descending=True, stable=True)[:top].tolist()
    sample, sets = drawn_units(len(places), shown, seed)
    alone = patching.lost([[units[i]] for i in (*shown, *sample)])
    together = patching.lost([[units[i] for i in drawn] for drawn in (shown, *sets)])
    of_sample = alone[len(shown) :]
    agreement = float(spearman(said[sample], of_sample))
    return Trial(
        shown=tuple(places[i] for i in shown),
        effects=tuple(alone[: len(shown)].tolist()),
        others={
            "together_estimate": float(said[shown].sum()),
            "together": float(together[0]),
            "random": tuple(together[1:].tolist()),
            "random_alone": float(of_sample.abs().mean()),
            "agreement": None if math.isnan(agreement) else agreement,
            "sampled": len(sample),
            "count": len(places),
        },
    )

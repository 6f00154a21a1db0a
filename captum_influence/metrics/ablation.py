"""Removing units and looking at the output: the reference for every ranking of units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.metrics.options import UnitOptions, chosen_units
from captum_influence.metrics.ranks import spearman
from captum_influence.metrics.result import Columns, Metric, standard_error
from captum_influence.metrics.unit_removal import removing_units
from captum_influence.reports.asked import Asked
from captum_influence.reports.words import counted
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.targets import question
from captum_influence.units.units_of import LayerLike
from captum_influence.visualization.lines import line_figure
from captum_influence.visualization.numbers import give_or_take, number
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AblationCurve", "Mode", "UnitEffects", "ablate_units", "ablation_curve"]

Mode = Literal["remove", "insert"]

_OFF = (
    "What takes a unit's place may lie far from what the layer ever says: compare two replacements."
)
_EXAMPLES = "This is about these examples: others may rest on other units."


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class UnitEffects(Metric):
    """What removing each unit alone does.

    Attributes:
        effects: (examples, units), q(z) - q(z without the unit); positive: it raised q.
        quantity: (examples,), q of the untouched network.
        replace: what took the place of a removed unit.
        units: what each unit is called.
    """

    topic: ClassVar[str] = "Units removed one by one"
    caveats: ClassVar[tuple[str, ...]] = (
        _OFF,
        "Redundant units hide each other's effect, and so do units that cancel each other: each is "
        "removed alone.",
        _EXAMPLES,
    )

    effects: Tensor
    quantity: Tensor
    replace: str
    units: tuple[str, ...]

    @property
    def headline(self) -> str:
        means = self.effects.double().mean(0)
        best = int(means.nan_to_num(nan=-math.inf).argmax())
        asked, layer = self.facts["quantity"], self.facts["layer"]
        over = f"on average over {counted(len(self.effects), 'example')}"
        mean, error = float(means[best]), standard_error(self.effects[:, best])
        if not mean > 0 or mean < 2 * error:
            return (
                f"None of the {self.facts['units']} of {layer} is seen to raise {asked} {over}. "
                f"The largest mean effect is {give_or_take(mean, error)}, that of "
                f"{self.units[best]}."
            )
        return (
            f"Of the {self.facts['units']} of {layer}, {self.units[best]} raises {asked} most. "
            f"With {self.replace} in its place that is "
            f"{give_or_take(mean, error)} lower, {over}."
        )

    @property
    def method(self) -> str:
        return (
            f"Each unit alone is replaced at the layer by {self.replace}, the network goes on from "
            "there, and the quantity is read again. A unit's effect is the quantity with it less "
            "the quantity without it."
        )

    def spearman(self, ranking: Tensor) -> Tensor:
        """Return the rank correlation (examples,) of attributions (examples, units) with these.

        Range [-1, 1]; NaN where either side is constant. See :func:`spearman` for its pitfall.
        """
        return spearman(ranking, self.effects.to(ranking.device))

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per example and unit."""
        examples, units = self.effects.shape
        return {
            "example": torch.arange(examples).repeat_interleave(units),
            "unit": torch.arange(units).repeat(examples),
            "effect": self.effects.flatten(),
        }

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the mean effect of each unit, the largest first."""
        values = self.effects.mean(0).sort(descending=True).values
        return line_figure(
            range(1, len(values) + 1),
            {"mean effect": values},
            xlabel="units, by effect",
            ylabel=f"q lost ({self.replace} in its place)",
            theme=theme,
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AblationCurve(Metric):
    """What is left of the quantity as units are removed, or put back, in an order.

    Attributes:
        counts: (steps,), how many units were removed or put back.
        scores: (examples, steps), q after each step.
        mode: ``"remove"`` or ``"insert"``.
        replace: what stands for a unit that isn't there.
    """

    topic: ClassVar[str] = "Units removed in an order"
    caveats: ClassVar[tuple[str, ...]] = (
        _OFF,
        "Removing units and putting them back can disagree about a ranking: look at both.",
        _EXAMPLES,
    )

    counts: Tensor
    scores: Tensor
    mode: Mode
    replace: str

    @property
    def area(self) -> Tensor:
        """(examples,), mean of q along the curve by trapezoids, in q's units.

        A good ranking has a small one when removing, a large one when inserting.
        """
        share = self.counts.to(self.scores) / self.counts[-1]
        return torch.trapezoid(self.scores, share, dim=1)

    @property
    def headline(self) -> str:
        first, last = (float(score) for score in self.scores.double().mean(0)[[0, -1]])
        whole, none = (first, last) if self.mode == "remove" else (last, first)
        done = "removed" if self.mode == "remove" else "put back"
        asked = self.facts["quantity"]
        return (
            f"As the {self.facts['units']} of {self.facts['layer']} are {done} in this order, "
            f"{asked} is {number(float(self.area.double().mean()))} on average along the way. With "
            f"all of them it is {number(whole)}, with none {number(none)}, on average over "
            f"{counted(len(self.scores), 'example')}."
        )

    @property
    def method(self) -> str:
        how = "replaced" if self.mode == "remove" else "put back, after all were replaced"
        return (
            f"The units, the highest-ranked first, are {how} ({self.replace} stands for a unit "
            "that isn't there), the network goes on from the layer, and the quantity is read after "
            "each step. By a good ranking it falls early when units are removed, and rises early "
            "when they are put back."
        )

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per example and step."""
        examples, steps = self.scores.shape
        return {
            "example": torch.arange(examples).repeat_interleave(steps),
            "units": self.counts.repeat(examples),
            "score": self.scores.flatten(),
        }

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the curve, averaged over the examples."""
        return line_figure(
            self.counts.tolist(),
            {f"{self.mode}, {self.replace}": self.scores.mean(0)},
            xlabel="units removed" if self.mode == "remove" else "units put back",
            ylabel="quantity",
            theme=theme,
        )


def ablate_units(
    model: nn.Module,
    inputs: Tensor,
    layer: LayerLike,
    target: Any,
    *,
    replace: Replace | Replacement = 0,
    **options: Unpack[UnitOptions],
) -> UnitEffects:
    r"""Remove each unit alone, exactly: :math:`e_j = q(z) - q(z_{\setminus j})`.

    Range: that of q's differences. Pitfall: zero can lie far from what the layer ever says, and
    redundant or cancelling units hide each other's effect; compare two replacements.
    Source: Zeiler & Fergus 2014, arXiv 1311.2901, put to units.

    Args:
        model: the network.
        inputs: (examples, ...).
        layer: a module, a name, a :class:`Cut` or :class:`UnitsOf`, where one tensor passes.
        target: a class by number or name, one for each example, or a :class:`Quantity`.
        replace: what takes a removed unit's place: a number; ``"mean"``: the unit's mean over
            these examples and all of its places; ``"resample"``: the unit of another of them; or a
            :class:`Replacement`, as made of other examples.
        options: how it is run, and which units are asked about: see :class:`Run`,
            :class:`UnitsOf`; ``class_names``.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> from captum_influence.demo import handwired_networks
        >>> wired = handwired_networks()["linear_units"]
        >>> ablate_units(wired.model, wired.inputs, "units", 0).effects.shape
        torch.Size([2, 4])
    """
    asked = Asked.of(ablate_units, locals())
    chosen = chosen_units("ablate_units", layer, options)
    quantity = question(target, names=chosen.shown.class_names)
    with removing_units(model, inputs, quantity, replace, chosen) as removed:
        one = torch.eye(removed.features, dtype=torch.bool)
        scores = removed.without(one.expand(len(removed.quantity), -1, -1))
    return UnitEffects(
        asked=asked,
        facts=removed.facts,
        effects=removed.quantity[:, None] - scores,
        quantity=removed.quantity,
        replace=removed.facts["replaced by"],
        units=removed.names,
    )


def ablation_curve(
    model: nn.Module,
    inputs: Tensor,
    layer: LayerLike,
    target: Any,
    ranking: Tensor,
    *,
    mode: Mode = "remove",
    replace: Replace | Replacement = 0,
    steps: int | None = None,
    **options: Unpack[UnitOptions],
) -> AblationCurve:
    r"""Remove units from the highest-ranked on, or start from none and put them back.

    After k units: ``"remove"`` gives :math:`q(z_{\setminus \{1..k\}})`, ``"insert"`` gives
    :math:`q(z_{\{1..k\}})`. Range: that of q. Pitfall: off-manifold activations; the two modes can
    disagree, so show both. Source: Petsiuk et al. 2018, arXiv 1806.07421, put to units.

    Args:
        model: the network.
        inputs: (examples, ...).
        layer: as in :func:`ablate_units`.
        target: as in :func:`ablate_units`.
        ranking: (units,) or (examples, units); the largest value goes first.
        mode: ``"remove"`` or ``"insert"``.
        replace: as in :func:`ablate_units`.
        steps: evaluate at this many equally spaced counts; None: after every unit.
        options: as in :func:`ablate_units`.

    Raises:
        ValueError: if an argument is out of range.
    """
    asked = Asked.of(ablation_curve, locals())
    if mode not in ("remove", "insert"):
        raise ValueError(f'expected mode="remove" or mode="insert", got {mode!r}')
    chosen = chosen_units("ablation_curve", layer, options)
    quantity = question(target, names=chosen.shown.class_names)
    with removing_units(model, inputs, quantity, replace, chosen) as removed:
        order = _order(ranking, len(removed.quantity), removed.features)
        counts = _counts(removed.features, steps)
        first = order[:, None] < counts[None, :, None]  # (examples, steps, units)
        scores = removed.without(first if mode == "remove" else ~first)
    return AblationCurve(
        asked=asked,
        facts=removed.facts,
        counts=counts,
        scores=scores,
        mode=mode,
        replace=removed.facts["replaced by"],
    )


def _order(ranking: Tensor, examples: int, count: int) -> Tensor:
    """Return the place (examples, units) of each unit, 0 for the one that goes first."""
    if tuple(ranking.shape) not in ((count,), (examples, count)):
        raise ValueError(
            f"expected a ranking of shape ({count},) or ({examples}, {count}), got "
            f"{tuple(ranking.shape)}: pool attributions to one value per unit"
        )
    ranking = ranking.detach().cpu().expand(examples, count)
    return ranking.argsort(dim=1, descending=True, stable=True).argsort(1)


def _counts(count: int, steps: int | None) -> Tensor:
    if steps is not None and steps < 1:
        raise ValueError(f"expected a positive number of steps, got {steps}")
    taken = count if steps is None else min(steps, count)
    return torch.linspace(0, count, taken + 1, dtype=torch.float64).round().long()

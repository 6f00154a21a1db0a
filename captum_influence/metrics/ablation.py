"""Removing units and looking at the output: the reference for every ranking of units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from captum_influence.data.frames import frame
from captum_influence.metrics.ranks import spearman
from captum_influence.metrics.removal import Layer, UnitFill, removing
from captum_influence.visualization.lines import line_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AblationCurve", "UnitEffects", "ablate_units", "ablation_curve"]

Mode = Literal["delete", "insert"]


@dataclass(frozen=True, eq=False)
class UnitEffects:
    """What removing each unit alone does.

    Attributes:
        effects: (examples, units), q(z) - q(z without the unit); positive: it raised q.
        quantity: (examples,), q of the untouched network.
        fill: what took the place of a removed unit.
    """

    effects: Tensor
    quantity: Tensor
    fill: str

    def spearman(self, ranking: Tensor) -> Tensor:
        """Return the rank correlation (examples,) of attributions (examples, units) with these.

        Range [-1, 1]; NaN where either side is constant. See :func:`spearman` for its pitfall.
        """
        return spearman(ranking, self.effects.to(ranking.device))

    def to_frame(self) -> Any:
        """Return a pandas table with one row per example and unit."""
        examples, units = self.effects.shape
        return frame(
            {
                "example": torch.arange(examples).repeat_interleave(units),
                "unit": torch.arange(units).repeat(examples),
                "effect": self.effects.flatten(),
            }
        )

    def plot(self) -> Figure:
        """Draw the mean effect of each unit, the largest first."""
        values = self.effects.mean(0).sort(descending=True).values
        return line_figure(
            range(1, len(values) + 1),
            {"mean effect": values},
            xlabel="units, by effect",
            ylabel=f"q lost ({self.fill})",
        )


@dataclass(frozen=True, eq=False)
class AblationCurve:
    """What is left of the quantity as units are removed, or put back, in an order.

    Attributes:
        counts: (steps,), how many units were removed or put back.
        scores: (examples, steps), q after each step.
        mode: ``"delete"`` or ``"insert"``.
        fill: what stands for a unit that isn't there.
    """

    counts: Tensor
    scores: Tensor
    mode: Mode
    fill: str

    @property
    def area(self) -> Tensor:
        """(examples,), mean of q along the curve by trapezoids, in q's units.

        A good ranking has a small one when deleting, a large one when inserting.
        """
        share = self.counts.to(self.scores) / self.counts[-1]
        return torch.trapezoid(self.scores, share, dim=1)

    def to_frame(self) -> Any:
        """Return a pandas table with one row per example and step."""
        examples, steps = self.scores.shape
        return frame(
            {
                "example": torch.arange(examples).repeat_interleave(steps),
                "units": self.counts.repeat(examples),
                "score": self.scores.flatten(),
            }
        )

    def plot(self) -> Figure:
        """Draw the curve, averaged over the examples."""
        return line_figure(
            self.counts.tolist(),
            {f"{self.mode}, {self.fill}": self.scores.mean(0)},
            xlabel="units removed" if self.mode == "delete" else "units put back",
            ylabel="quantity",
        )


def ablate_units(
    model: nn.Module,
    layer: Layer,
    inputs: Tensor,
    target: Any,
    *,
    fill: UnitFill = "zero",
    reference: Tensor | None = None,
    axis: int = 1,
    rows: int = 64,
    seed: int = 0,
) -> UnitEffects:
    r"""Remove each unit alone, exactly: :math:`e_j = q(z) - q(z_{\setminus j})`.

    Range: that of q's differences. Pitfall: zero can lie far from what the layer ever says, and
    redundant or cancelling units hide each other's effect; state the fill, and compare two.
    Source: Zeiler & Fergus 2014, arXiv 1311.2901, put to units.

    Args:
        model: the network.
        layer: a module, a name or a :class:`Cut`, where one tensor passes.
        inputs: (examples, ...).
        target: a class, or a :class:`Quantity`.
        fill: ``"zero"``; ``"mean"``: the unit's mean over reference examples and places;
            ``"resample"``: the unit of another reference example.
        reference: inputs for the fill; None: the examples themselves, then at least two.
        axis: the layer's dimension that tells units apart.
        rows: examples times units per pass.
        seed: of the resampling, on a generator of its own.

    Raises:
        ValueError: if an argument is out of range.
    """
    with removing(
        model, layer, inputs, target, fill, reference, axis=axis, rows=rows, seed=seed
    ) as removal:
        one = torch.eye(removal.features, dtype=torch.bool)
        scores = removal.without(one.expand(len(removal.quantity), -1, -1))
    return UnitEffects(removal.quantity[:, None] - scores, removal.quantity, fill)


def ablation_curve(
    model: nn.Module,
    layer: Layer,
    inputs: Tensor,
    target: Any,
    ranking: Tensor,
    *,
    mode: Mode = "delete",
    fill: UnitFill = "zero",
    reference: Tensor | None = None,
    steps: int | None = None,
    axis: int = 1,
    rows: int = 64,
    seed: int = 0,
) -> AblationCurve:
    r"""Remove units from the highest-ranked on, or start from none and put them back.

    After k units: ``"delete"`` gives :math:`q(z_{\setminus \{1..k\}})`, ``"insert"`` gives
    :math:`q(z_{\{1..k\}})`. Range: that of q. Pitfall: off-manifold activations; the two modes can
    disagree, so show both. Source: Petsiuk et al. 2018, arXiv 1806.07421, put to units.

    Args:
        model: the network.
        layer: as in :func:`ablate_units`.
        inputs: (examples, ...).
        target: a class, or a :class:`Quantity`.
        ranking: (units,) or (examples, units); the largest value goes first.
        mode: ``"delete"`` or ``"insert"``.
        fill: as in :func:`ablate_units`.
        reference: as in :func:`ablate_units`.
        steps: evaluate at this many equally spaced counts; None: after every unit.
        axis: as in :func:`ablate_units`.
        rows: as in :func:`ablate_units`.
        seed: as in :func:`ablate_units`.

    Raises:
        ValueError: if an argument is out of range.
    """
    if mode not in ("delete", "insert"):
        raise ValueError(f'expected mode="delete" or mode="insert", got {mode!r}')
    with removing(
        model, layer, inputs, target, fill, reference, axis=axis, rows=rows, seed=seed
    ) as removal:
        order = _order(ranking, len(removal.quantity), removal.features)
        counts = _counts(removal.features, steps)
        first = order[:, None] < counts[None, :, None]  # (examples, steps, units)
        scores = removal.without(first if mode == "delete" else ~first)
    return AblationCurve(counts, scores, mode, fill)


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

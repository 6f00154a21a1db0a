"""Removing units and looking at the output: the reference for every ranking of units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from captum_influence.attr import Cut, Quantity, Slice
from captum_influence.metrics.ranks import spearman
from captum_influence.metrics.tables import line_figure, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AblationCurve", "UnitEffects", "ablate_units", "ablation_curve"]

Fill = Literal["zero", "mean", "resample"]
Mode = Literal["delete", "insert"]
Layer = nn.Module | str | Cut
Rerun = Callable[[Tensor, Tensor], Tensor]


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
        return table(
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
        return table(
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
    fill: Fill = "zero",
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
    with _rerun(model, layer, inputs, target, axis, rows) as (units, quantity, rerun):
        filled = _filled(model, layer, units, fill, reference, axis, seed)
        examples, count = len(units), units.shape[axis]
        one = torch.eye(count, dtype=torch.bool, device=units.device)
        masks = one.repeat(examples, 1)  # (examples * units, units)
        scores = _batched(rerun, units, filled, masks, count, axis, rows)
    return UnitEffects(quantity[:, None] - scores, quantity, fill)


def ablation_curve(
    model: nn.Module,
    layer: Layer,
    inputs: Tensor,
    target: Any,
    ranking: Tensor,
    *,
    mode: Mode = "delete",
    fill: Fill = "zero",
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
    with _rerun(model, layer, inputs, target, axis, rows) as (units, _, rerun):
        filled = _filled(model, layer, units, fill, reference, axis, seed)
        order = _order(ranking, len(units), units.shape[axis])
        counts = _counts(units.shape[axis], steps)
        masks = (order[:, None] < counts[None, :, None]).to(units.device)  # (examples, steps, n)
        masks = masks if mode == "delete" else ~masks
        scores = _batched(rerun, units, filled, masks.flatten(0, 1), len(counts), axis, rows)
    return AblationCurve(counts, scores, mode, fill)


@contextmanager
def _rerun(
    model: nn.Module, layer: Layer, inputs: Tensor, target: Any, axis: int, rows: int
) -> Iterator[tuple[Tensor, Tensor, Rerun]]:
    """Yield the units, q, and what runs the network on from other units (rows, ...)."""
    if rows < 1:
        raise ValueError(f"expected a positive number of rows per pass, got {rows}")
    slice_ = Slice(model, [], sample_at=Cut.ensure(layer))
    with slice_.opened(), torch.no_grad():
        inputs = slice_.admitted(inputs)
        reading = slice_.record((inputs,), ())
        units = _one(reading.cuts[0], axis)
        quantity = Quantity.ensure(target).resolve(reading.output)
        entry = cast(Cut, slice_.sample_at)

        def rerun(changed: Tensor, examples: Tensor) -> Tensor:
            images = inputs[examples.to(inputs.device)]
            read = slice_.read((images,), (), overwrite={entry: (changed,)}, examples=examples)
            return quantity.rows(examples)(read.output).detach()

        yield units, quantity(reading.output).detach(), rerun


def _batched(
    rerun: Rerun, units: Tensor, filled: Tensor, masks: Tensor, each: int, axis: int, rows: int
) -> Tensor:
    """Return q (examples, each) where masks (examples * each, units) say what is replaced."""
    examples = torch.arange(len(units)).repeat_interleave(each)
    shape = [1] * units.ndim
    shape[0], shape[axis] = -1, units.shape[axis]
    parts = []
    for part, mask in zip(torch.split(examples, rows), torch.split(masks, rows), strict=True):
        own, other = units[part.to(units.device)], filled[part.to(units.device)]
        parts.append(rerun(torch.where(mask.reshape(shape), other, own), part))
    return torch.cat(parts).reshape(len(units), each)


def _filled(
    model: nn.Module,
    layer: Layer,
    units: Tensor,
    fill: Fill,
    reference: Tensor | None,
    axis: int,
    seed: int,
) -> Tensor:
    """Return what stands for removed units, shaped like them."""
    if fill == "zero":
        return torch.zeros_like(units)
    if fill not in ("mean", "resample"):
        raise ValueError(f'expected fill="zero", "mean" or "resample", got {fill!r}')
    others = units if reference is None else _read(model, layer, reference, axis)
    if reference is None and len(units) < 2:
        raise ValueError(
            f'fill="{fill}" of a single example would put back what was removed: pass reference='
        )
    if others.shape[1:] != units.shape[1:]:
        raise ValueError(
            f"expected reference units of shape {tuple(units.shape[1:])} per example, got "
            f"{tuple(others.shape[1:])}: pass inputs of the same size"
        )
    if fill == "mean":
        pooled = [d for d in range(units.ndim) if d != axis]
        return others.mean(pooled, keepdim=True).expand_as(units)
    generator = torch.Generator().manual_seed(seed)
    if reference is not None:
        picks = torch.randint(len(others), (len(units),), generator=generator)
    else:  # a cycle through all: nobody gets its own
        cycle = torch.randperm(len(units), generator=generator)
        picks = torch.empty_like(cycle).scatter_(0, cycle, cycle.roll(1))
    return others[picks.to(others.device)]


def _read(model: nn.Module, layer: Layer, inputs: Tensor, axis: int) -> Tensor:
    slice_ = Slice(model, [Cut.ensure(layer)])
    with slice_.opened(), torch.no_grad():
        inputs = slice_.admitted(inputs)
        return _one(slice_.read((inputs,), (), cuts=slice_.cuts, cuts_only=True).cuts[0], axis)


def _one(tensors: tuple[Tensor, ...], axis: int) -> Tensor:
    if len(tensors) != 1:
        raise ValueError(
            f"expected one tensor at the layer, got {len(tensors)}: pick one by Cut(select=...)"
        )
    if not 1 <= axis < tensors[0].ndim:
        raise ValueError(
            f"expected axis from 1 to {tensors[0].ndim - 1}, for a layer of shape "
            f"{tuple(tensors[0].shape)}; got {axis}"
        )
    return tensors[0].detach()


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

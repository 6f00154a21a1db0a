"""Units of a layer (channels, positions, neurons, heads), and how much each of them matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

__all__ = ["Axis", "Ranking", "UnitInfluence", "rank_units"]

Focus = Literal["quantity", "unit"]
Aggregate = Literal["sum", "mean", "max"]
By = Literal["influence", "contribution"]
Selector = tuple[int | slice, ...]


@dataclass(frozen=True)
class Axis:
    """What counts as one unit of a layer: which dimensions tell units apart.

    The layout follows the number of dimensions: (N, C) flat; (N, T, C) tokens; (N, C, H, W), or
    (N, C, D, H, W), channels first. For any other layout give the dimension as an int.

    Attributes:
        name: what one unit is called: ``"channel"``, ``"position"``, ``"neuron"``, ``"head"``.
        shape: the layer's units for one example, without the batch dimension.
        keep: the dimensions of ``shape`` that tell units apart; the others are pooled.
        split: into how many equal parts the kept dimension is split (heads), or None.
    """

    name: str
    shape: tuple[int, ...]
    keep: tuple[int, ...]
    split: int | None = None

    @staticmethod
    def ensure(axis: str | int | Axis, shape: tuple[int, ...], heads: int | None = None) -> Axis:
        """Return the axis of a layer with units of this shape, from its name or dimension.

        Args:
            axis: a name, or the dimension that tells units apart (0 is the batch).
            shape: of one example's units.
            heads: into how many heads the last dimension of (N, T, C) falls, for ``"head"``.

        Raises:
            ValueError: if the layer has no such units.
        """
        if not shape:
            raise ValueError(
                "expected a layer with at least one unit per example, shape (examples, units, "
                "...); got one number per example: name a layer further up"
            )
        if isinstance(axis, Axis):
            return axis
        if isinstance(axis, int):
            return _dimension(axis, shape)
        if axis == "head":
            return _heads(shape, heads)
        return Axis(axis, shape, _kept(axis, shape))

    def pool(self, values: Tensor, aggregate: Aggregate = "sum") -> Tensor:
        """Pool (examples, ...) over all that belongs to one unit: one entry each per example."""
        pooled = [1 + d for d in range(len(self.shape)) if d not in self.keep]
        if self.split is not None:
            last = 1 + self.keep[0]
            values = torch.unflatten(values, last, (self.split, -1))
            pooled = [d + (d > last) for d in pooled] + [last + 1]
        if not pooled:
            return values
        if aggregate == "max":
            return values.amax(dim=pooled)
        return values.sum(dim=pooled) if aggregate == "sum" else values.mean(dim=pooled)

    def entry(self, pooled: Tensor, index: tuple[int, ...]) -> Tensor:
        """Return one unit's column, (examples,), of what :meth:`pool` returned."""
        flat = int(np.ravel_multi_index(index, tuple(pooled.shape[1:])))
        return pooled.flatten(1)[:, flat]

    def selector(self, index: tuple[int, ...]) -> Selector:
        """Return what addresses one unit in the layer: the index of a ``Unit`` quantity."""
        chosen: list[int | slice] = [slice(None)] * len(self.shape)
        for dimension, i in zip(self.keep, index, strict=True):
            chosen[dimension] = i
        if self.split is not None:
            width = self.shape[self.keep[0]] // self.split
            chosen[self.keep[0]] = slice(index[0] * width, (index[0] + 1) * width)
        return tuple(chosen)


@dataclass(frozen=True)
class UnitInfluence:
    """One unit and what it did.

    Attributes:
        axis: what kind of unit: ``"channel"``, ...
        index: which one, along the axis.
        value: its influence or contribution, pooled over the unit, signed.
        share: ``value`` over the sum of absolute values of all units of the layer, signed.
        activation: its activation on the explained instance, pooled alike; None if not known.
        reference: the same where displacements start; None if not known or not used.
    """

    axis: str
    index: tuple[int, ...]
    value: float
    share: float
    activation: float | None = None
    reference: float | None = None

    @property
    def name(self) -> str:
        """What to call it, for example ``channel 17``."""
        inner = ", ".join(str(i) for i in self.index)
        return f"{self.axis} {inner}" if len(self.index) == 1 else f"{self.axis} ({inner})"


@dataclass(frozen=True, eq=False)
class Ranking:
    """The units of a layer, the one that raises the quantity most first; behaves as a sequence.

    Attributes:
        units: the first ``top`` of them.
        values: what all of them did, one entry per unit along the axis.
        axis: what counts as one unit.
        by: what was ranked.
        aggregate: how it was pooled over what belongs to one unit.
        activations: of all units on the explained instance, pooled alike, or None.
        references: the same where displacements start, or None.
    """

    units: tuple[UnitInfluence, ...]
    values: Tensor
    axis: Axis
    by: By
    aggregate: Aggregate
    activations: Tensor | None = None
    references: Tensor | None = None

    def __len__(self) -> int:
        """Return how many units were asked for."""
        return len(self.units)

    def __iter__(self) -> Iterator[UnitInfluence]:
        """Go through them, the first one first."""
        return iter(self.units)

    def __getitem__(self, rank: int) -> UnitInfluence:
        """Return the unit of this rank, counted from 0."""
        return self.units[rank]

    def against(self, count: int) -> tuple[UnitInfluence, ...]:
        """Return up to ``count`` units that lower the quantity, the strongest first."""
        order = self.values.flatten().argsort(stable=True)[:count].tolist()
        units = (
            _unit(self.values, flat, self.axis, self.activations, self.references) for flat in order
        )
        return tuple(unit for unit in units if unit.value < 0)


def rank_units(
    influences: Tensor,
    activations: Tensor | None = None,
    *,
    reference: Tensor | float | None = None,
    axis: str | int | Axis = "channel",
    by: By = "influence",
    aggregate: Aggregate = "sum",
    top: int | None = None,
    heads: int | None = None,
) -> Ranking:
    """Rank a layer's units by what they did, averaged over the examples, largest first.

    A contribution is influence × (activation − reference activation), entry by entry. Everything
    keeps its sign until it is pooled; only shares divide by a sum of absolute values.

    Args:
        influences: (examples, ...), as ``DistributionalInfluence.attribute`` returns them.
        activations: shaped alike, the layer's activations on the same examples.
        reference: activations where displacements start; None: zero.
        axis: ``"channel"``, ``"position"``, ``"neuron"``, ``"head"``, or a dimension.
        by: ``"influence"`` or ``"contribution"``, which needs ``activations``.
        aggregate: pool a unit's entries by ``"sum"``, ``"mean"`` or ``"max"``.
        top: how many to name; None: all.
        heads: how many heads share the last dimension, for ``axis="head"`` on (N, T, C).

    Raises:
        ValueError: if shapes disagree, a number is NaN, or the layer has no such units.

    Example:
        >>> influences = torch.tensor([[1.0, -3.0, 2.0]])
        >>> [unit.name for unit in rank_units(influences, top=2)]
        ['channel 2', 'channel 0']
    """
    _check_tensors(influences, activations, by)
    values = influences
    if by == "contribution" and activations is not None:
        values = influences * (activations - (0.0 if reference is None else reference))
    elif by != "influence":
        raise ValueError(f'expected by="influence" or by="contribution", got {by!r}')
    found = Axis.ensure(axis, tuple(influences.shape[1:]), heads)
    return ranking_of(values, found, by, aggregate, top, activations, reference)


def ranking_of(
    values: Tensor,
    axis: Axis,
    by: By,
    aggregate: Aggregate,
    top: int | None,
    activations: Tensor | None = None,
    reference: Tensor | float | None = None,
) -> Ranking:
    """Rank what units did, (examples, ...), whichever way it was measured."""
    if aggregate not in ("sum", "mean", "max"):
        raise ValueError(f'expected aggregate="sum", "mean" or "max", got {aggregate!r}')
    if top is not None and top < 1:
        raise ValueError(f"expected top to be a positive number of units, got {top}")
    if bool(values.isnan().any()):
        raise ValueError(f"what the units did, of shape {tuple(values.shape)}, holds NaN")
    pooled = _mean(axis.pool(values, aggregate))
    further = tuple(_pooled(other, values, axis, aggregate) for other in (activations, reference))
    order = pooled.flatten().argsort(descending=True, stable=True)[:top].tolist()
    units = tuple(_unit(pooled, flat, axis, *further) for flat in order)
    return Ranking(units, pooled, axis, by, aggregate, *further)


def _pooled(
    other: Tensor | float | None, like: Tensor, axis: Axis, aggregate: Aggregate
) -> Tensor | None:
    if other is None:
        return None
    whole = torch.as_tensor(other, dtype=like.dtype, device=like.device).expand_as(like)
    return _mean(axis.pool(whole, aggregate))


def _mean(pooled: Tensor) -> Tensor:
    """Average over examples, in float32 or better."""
    exact = pooled.detach().to(torch.promote_types(pooled.dtype, torch.float32))
    return exact.mean(dim=0).cpu()


def _unit(
    values: Tensor,
    flat: int,
    axis: Axis,
    activations: Tensor | None = None,
    reference: Tensor | None = None,
) -> UnitInfluence:
    index = tuple(int(i) for i in np.unravel_index(flat, tuple(values.shape)))
    value, total = float(values[index]), float(values.double().abs().sum())
    return UnitInfluence(
        axis.name,
        index,
        value,
        value / total if total else 0.0,
        None if activations is None else float(activations[index]),
        None if reference is None else float(reference[index]),
    )


def _check_tensors(influences: Tensor, activations: Tensor | None, by: str) -> None:
    if not isinstance(influences, Tensor):
        raise TypeError(
            "expected the influences at one layer as a tensor (examples, ...), got "
            f"{type(influences).__name__}: rank the layers of a list one by one"
        )
    if by == "contribution" and activations is None:
        raise ValueError('by="contribution" multiplies by activations: pass them as the second')
    if activations is not None and activations.shape != influences.shape:
        raise ValueError(
            f"expected activations shaped like the influences, {tuple(influences.shape)}, got "
            f"{tuple(activations.shape)}"
        )


def _kept(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    everything = tuple(range(len(shape)))
    channel = 1 if len(shape) == 2 else 0
    if name == "neuron":
        return everything
    if name == "channel":
        return (channel,)
    if name != "position":
        raise ValueError(
            f'expected axis="channel", "position", "neuron", "head" or a dimension, got {name!r}'
        )
    if len(shape) == 1:
        raise ValueError(
            f"a layer of shape (examples, {shape[0]}) has no positions: rank its channels"
        )
    return tuple(d for d in everything if d != channel)


def _dimension(axis: int, shape: tuple[int, ...]) -> Axis:
    dimension = axis if axis >= 0 else axis + len(shape) + 1
    if not 1 <= dimension <= len(shape):
        raise ValueError(
            f"axis {axis} doesn't tell units apart in a layer of shape (examples, "
            f"{', '.join(map(str, shape))}): give a dimension from 1 to {len(shape)}"
        )
    return Axis("unit", shape, (dimension - 1,))


def _heads(shape: tuple[int, ...], heads: int | None) -> Axis:
    if heads is None and len(shape) == 3:  # (N, heads, T, T) or (N, heads, T, d)
        return Axis("head", shape, (0,))
    if heads is None or heads < 1 or len(shape) not in (1, 2) or shape[-1] % heads:
        raise ValueError(
            'axis="head" expects a layer (N, heads, ..., ...), or heads= that divides the last '
            f"dimension of (N, T, C); got units of shape {shape} and heads={heads}"
        )
    return Axis("head", shape, (len(shape) - 1,), heads)

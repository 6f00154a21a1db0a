"""Units as users name them, and where in a layer they are."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.network.cuts import Cut
from captum_influence.units.axes import Axis, AxisLike, Selector
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.result import Ranking

__all__ = ["NamedUnit", "Selection"]

NamedUnit = int | tuple[int, ...] | UnitInfluence


@dataclass(frozen=True)
class Selection:
    """Some units of a layer.

    Attributes:
        indices: along the axis, or of single neurons: one int per dimension of the layer.
        axis: what one unit is.
        heads: how many heads share the last dimension, for ``axis="head"``.
    """

    indices: tuple[tuple[int, ...], ...]
    axis: AxisLike = "channel"
    heads: int | None = None

    @staticmethod
    def ensure(
        units: Iterable[NamedUnit] | Selection,
        axis: AxisLike | None = None,
        heads: int | None = None,
    ) -> Selection:
        """Return units as a selection; the axis is theirs if they know it, else channels.

        Raises:
            TypeError: if a unit is none.
        """
        if isinstance(units, Selection):
            return units
        if axis is None and isinstance(units, Ranking):
            axis = units.axis
        named = list(_checked(units))
        if axis is None:
            known = {unit.axis for unit in named if isinstance(unit, UnitInfluence)}
            axis = known.pop() if len(known) == 1 else "channel"
        return Selection(tuple(_index(unit) for unit in named), axis, heads)

    def __len__(self) -> int:
        """Return how many units there are."""
        return len(self.indices)

    def first(self, k: int) -> Selection:
        """Return the first k of them."""
        return Selection(self.indices[:k], self.axis, self.heads)

    def at(self, shape: tuple[int, ...], model: nn.Module, cut: Cut, inputs: Tensor) -> Selection:
        """Return them along the axis that they have in a network's layer, see :meth:`Axis.at`."""
        axis = Axis.at(self.axis, shape, self.heads, model, cut, inputs)
        return Selection(self.indices, axis)

    def along(self, shape: tuple[int, ...], channel: int | None) -> Selection:
        """Return them along the axis that they have where a dimension counts channels."""
        return Selection(self.indices, Axis.ensure(self.axis, shape, self.heads, channel))

    def mask(self, shape: tuple[int, ...]) -> Tensor:
        """Return a layer's (...) bool tensor, True at these units.

        Raises:
            ValueError: if the layer has no such unit.
        """
        return self.masks(shape).any(dim=0)

    def masks(self, shape: tuple[int, ...]) -> Tensor:
        """Return (units, ...) bool tensors, each True at one of the units."""
        axis = Axis.ensure(self.axis, shape, self.heads)
        found = torch.zeros(len(self.indices), *shape, dtype=torch.bool)
        for mask, index in zip(found, self.indices, strict=True):
            mask[_selector(axis, index, shape)] = True
        return found

    def units(self, shape: tuple[int, ...], layer: str | None = None) -> tuple[UnitInfluence, ...]:
        """Return them as a ranking names them; what they did, NaN, isn't known.

        Args:
            shape: of the layer's units for one example.
            layer: its name, if the units are to know it.
        """
        axis = Axis.ensure(self.axis, shape, self.heads)
        return tuple(_named(axis, index, layer) for index in self.indices)


def _named(axis: Axis, index: tuple[int, ...], layer: str | None) -> UnitInfluence:
    along = len(index) == len(axis.sizes)  # else an index into every dimension: a single neuron
    kind, label = (axis.name, axis.label(index)) if along else ("neuron", None)
    return UnitInfluence(kind, index, math.nan, math.nan, label=label, layer=layer)


def _checked(units: Any) -> Iterable[Any]:
    if isinstance(units, int | UnitInfluence):
        return [units]
    if isinstance(units, Iterable) and not isinstance(units, str):
        return units
    raise TypeError(
        "expected units as a ranking or a list of channel numbers, index tuples or "
        f"UnitInfluence, got {type(units).__name__}"
    )


def _index(unit: Any) -> tuple[int, ...]:
    index = getattr(unit, "index", unit) if not isinstance(unit, tuple) else unit
    try:
        return tuple(operator.index(i) for i in (index if isinstance(index, tuple) else (index,)))
    except TypeError:
        raise TypeError(
            "expected a unit as a channel number, a tuple of ints or a UnitInfluence, got "
            f"{type(unit).__name__}"
        ) from None


def _selector(axis: Axis, index: tuple[int, ...], shape: tuple[int, ...]) -> Selector:
    along = len(index) == len(axis.sizes)
    if not along and len(index) != len(shape):
        raise ValueError(
            f"expected a {axis.name} as {len(axis.sizes)} ints, or a neuron as {len(shape)}, in a "
            f"layer of shape (examples, {', '.join(map(str, shape))}); got {len(index)}"
        )
    sizes = axis.sizes if along else shape
    if any(not 0 <= i < size for i, size in zip(index, sizes, strict=True)):
        raise ValueError(
            f"there is no {axis.name if along else 'neuron'} {index} in a layer of shape "
            f"(examples, {', '.join(map(str, shape))}): count from 0 to below {sizes}"
        )
    return axis.selector(index) if along else index

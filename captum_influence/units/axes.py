"""What counts as one unit of a layer: a channel, a position, a head, a neuron, a user's group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from captum_influence.network.axes import channel_of
from captum_influence.network.cuts import Cut
from captum_influence.reports.words import counted
from captum_influence.units.groups import Grouping, Groups

__all__ = ["Aggregate", "Axis", "AxisLike", "Selector", "asks_for_channels"]

Aggregate = Literal["sum", "mean", "max"]
Selector = tuple[int | slice | list[int], ...]
_PAIR = "position-head"


@dataclass(frozen=True)
class Axis:
    """What counts as one unit of a layer: which dimensions tell units apart.

    Where the channels are, the network says (:func:`channel_of`): along the dimension of the
    nearest convolution, norm or linear layer. Where it doesn't, or there is none at hand, the
    layout follows the number of dimensions: (N, C) flat; (N, T, C) tokens; (N, C, H, W), or
    (N, C, D, H, W), channels first. For any other layout give the dimension as an int.

    Attributes:
        name: what one unit is called: ``"channel"``, ``"concept"`` (a channel of codes, see
            :class:`Dictionary`), ``"position"``, ``"neuron"``, ``"head"``, ``"group"``.
        shape: the layer's units for one example, without the batch dimension.
        keep: the dimensions of ``shape`` that tell units apart; the others are pooled.
        split: into how many equal parts the last kept dimension is split (heads), or None.
        groups: a user's groups of what the kept dimensions tell apart, or None.
    """

    name: str
    shape: tuple[int, ...]
    keep: tuple[int, ...]
    split: int | None = None
    groups: Groups | None = None

    @staticmethod
    def ensure(
        axis: AxisLike,
        shape: tuple[int, ...],
        heads: int | None = None,
        channel: int | None = None,
    ) -> Axis:
        """Return the axis of a layer with units of this shape, from what names it.

        Args:
            axis: a name; ``("position", "head")`` for each head at each position; the dimension
                that tells units apart (0 is the batch); or a grouping, see :func:`rank_units`.
            shape: of one example's units.
            heads: into how many heads the last dimension of (N, ..., C) falls, for ``"head"``.
            channel: the dimension that counts channels; None: by the number of dimensions.

        Raises:
            ValueError: if the layer has no such units.
            TypeError: if the axis is none.
        """
        if not shape:
            raise ValueError(
                "expected a layer with at least one unit per example, shape (examples, units, "
                "...); got one number per example: name a layer further up"
            )
        if isinstance(axis, Axis):
            return axis
        given: Any = axis  # which may be what no type allows
        if given is None or isinstance(given, bool | float):
            raise TypeError(
                'expected axis="channel", "position", "neuron", "head", a dimension as an int or a '
                f"grouping, got {axis!r}"
            )
        if isinstance(given, Integral):  # NumPy's too
            return _dimension(int(given), shape)
        if isinstance(given, tuple) and given == ("position", "head"):
            split = _heads(shape, heads)
            if split.split is None or len(shape) != 2:
                raise ValueError(
                    'axis=("position", "head") expects a layer (N, T, C) and heads=; got units of '
                    f"shape {shape} and heads={heads}"
                )
            return Axis(_PAIR, shape, (0, 1), heads)
        place = _channel(shape) if channel is None else channel - 1
        if isinstance(axis, str):
            named = axis != "head"
            return Axis(axis, shape, _kept(axis, shape, place)) if named else _heads(shape, heads)
        groups = Groups.ensure(given, shape, place)
        return Axis("group", shape, groups.keep, groups=groups)

    @staticmethod
    def at(
        axis: AxisLike,
        shape: tuple[int, ...],
        heads: int | None,
        model: nn.Module,
        cut: Cut,
        inputs: Tensor,
    ) -> Axis:
        """Return the axis of a network's layer; it runs if it has to say where channels are.

        Args:
            axis: as :meth:`ensure` takes it.
            shape: of one example's units.
            heads: as :meth:`ensure` takes it.
            model: the network.
            cut: the layer.
            inputs: that the network takes.

        Raises:
            ValueError: if the layer has no such units, or it isn't clear where channels are.
        """
        if axis == "concept" and cut.basis is None:
            raise ValueError(
                f'expected a cut in a basis for axis="concept", got the {cut}: Cut(layer, '
                "basis=Dictionary.fit(model, layer, loader, 16))"
            )
        if axis == "channel" and cut.basis is not None:
            axis = "concept"
        channel = channel_of(model, cut, inputs) if asks_for_channels(axis, shape) else None
        return Axis.ensure(axis, shape, heads, channel)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many units there are along each number of an index."""
        if self.groups is not None:
            return (len(self.groups.names),)
        sizes = [self.shape[d] for d in self.keep]
        return tuple(sizes) if self.split is None else (*sizes[:-1], self.split)

    def in_words(self) -> str:
        """Return how many units there are and along which dimensions, the examples' being 0.

        Example:
            >>> Axis.ensure("channel", (7, 7, 768), channel=3).in_words()
            '768 channels along dimension 3 of (examples, 7, 7, 768)'
        """
        lie = " and ".join(str(1 + d) for d in self.keep)
        return (
            f"{counted(math.prod(self.sizes), self.name)} along "
            f"{'dimension' if len(self.keep) == 1 else 'dimensions'} {lie} of (examples, "
            f"{', '.join(map(str, self.shape))})"
        )

    def pool(self, values: Tensor, aggregate: Aggregate = "sum") -> Tensor:
        """Pool (examples, ...) over all that belongs to one unit: one entry each per example."""
        if self.groups is not None:
            return self.groups.pool(values, lambda flat: _reduced(flat, [1], aggregate))
        pooled = [1 + d for d in range(len(self.shape)) if d not in self.keep]
        if self.split is not None:
            last = 1 + self.keep[-1]
            values = torch.unflatten(values, last, (self.split, -1))
            pooled = [d + (d > last) for d in pooled] + [last + 1]
        return _reduced(values, pooled, aggregate) if pooled else values

    def spread(self, chosen: Tensor) -> Tensor:
        """Say which entries belong to the units that are True, the other way round of :meth:`pool`.

        Args:
            chosen: bool (rows, units), units counted row by row.

        Returns:
            A bool tensor that broadcasts with (rows, ...).
        """
        if self.groups is not None:
            return self.groups.spread(chosen, self.shape)
        if self.split is not None:  # the last number of an index counts fastest
            chosen = chosen.repeat_interleave(self.shape[self.keep[-1]] // self.split, dim=1)
        sizes = (n if d in self.keep else 1 for d, n in enumerate(self.shape))
        return chosen.reshape(len(chosen), *sizes)

    def entry(self, pooled: Tensor, index: tuple[int, ...]) -> Tensor:
        """Return one unit's column, (examples,), of what :meth:`pool` returned."""
        flat = int(np.ravel_multi_index(index, tuple(pooled.shape[1:])))
        return pooled.flatten(1)[:, flat]

    def label(self, index: tuple[int, ...]) -> str | None:
        """Return a group's own name, or both parts' of a pair; None for what has a number only."""
        if self.name == _PAIR:
            return f"head {index[1]} at position {index[0]}"
        return None if self.groups is None else self.groups.names[index[0]]

    def selector(self, index: tuple[int, ...]) -> Selector:
        """Return what addresses one unit in the layer: the index of a ``Unit`` quantity."""
        if self.groups is not None:
            return self.groups.selector(index[0], self.shape)
        chosen: list[int | slice] = [slice(None)] * len(self.shape)
        for dimension, i in zip(self.keep, index, strict=True):
            chosen[dimension] = i
        if self.split is not None:
            width = self.shape[self.keep[-1]] // self.split
            chosen[self.keep[-1]] = slice(index[-1] * width, (index[-1] + 1) * width)
        return tuple(chosen)


AxisLike = str | int | Axis | Grouping | tuple[Literal["position"], Literal["head"]]


def _reduced(values: Tensor, dimensions: list[int], aggregate: Aggregate) -> Tensor:
    if aggregate == "max":
        return values.amax(dim=dimensions)
    return values.sum(dim=dimensions) if aggregate == "sum" else values.mean(dim=dimensions)


def _channel(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) == 2 else 0


def asks_for_channels(axis: Any, shape: tuple[int, ...]) -> bool:
    """Return whether it matters which of a layer's dimensions counts channels."""
    if isinstance(axis, str):
        return axis in ("channel", "concept", "position") and len(shape) > 1
    return not isinstance(axis, Axis | Integral | float | None) and len(shape) > 1


def _kept(name: str, shape: tuple[int, ...], channel: int) -> tuple[int, ...]:
    everything = tuple(range(len(shape)))
    if name == "neuron":
        return everything
    if name in ("channel", "concept"):
        return (channel,)
    if name == "group":
        raise ValueError(
            'expected the grouping itself as axis, got its name, "group": pass the same mapping or '
            "labels that the units were ranked by"
        )
    if name != "position":
        raise ValueError(
            'expected axis="channel", "position", "neuron", "head", a dimension or a grouping, got '
            f"{name!r}"
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
    if heads is None or heads < 1 or shape[-1] % heads:
        raise ValueError(
            'axis="head" expects a layer (N, heads, ..., ...), or heads= that divides the last '
            f"dimension of (N, ..., C); got units of shape {shape} and heads={heads}"
        )
    return Axis("head", shape, (len(shape) - 1,), heads)

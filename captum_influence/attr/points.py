"""Weighted points, blocks of them for one pass, and the arithmetic that both need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from captum_influence.attr.inputs import Inputs, names_inputs

__all__ = [
    "Block",
    "Tensors",
    "Values",
    "WeightedPoint",
    "column",
    "interpolated",
    "packed",
    "values_like",
]

Tensors = tuple[Tensor, ...]
Values = float | Tensor | tuple[float | Tensor, ...]


class WeightedPoint(NamedTuple):
    """One point for every example: its weight, its tensors, each shaped like the origin's.

    ``anchor`` is where ``multiply_by_inputs`` measures the displacement from, when that differs
    from point to point; otherwise it is the distribution's :meth:`Distribution.reference`.
    """

    weight: float
    point: Tensors
    anchor: Tensors | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of (example, point) pairs, ready for one forward pass.

    ``examples`` (rows,) int64, on the CPU: to which example a row belongs; ``weights`` (rows,)
    float64; ``points`` and ``anchors``: tensors (rows, ...); ``numbers`` (rows,): which point.
    """

    examples: Tensor
    weights: Tensor
    numbers: Tensor
    points: Tensors
    anchors: Tensors | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def split(self, rows: int) -> list[Block]:
        """Return the block in parts of at most ``rows`` rows."""
        if len(self) <= rows:
            return [self]
        return [self._part(slice(start, start + rows)) for start in range(0, len(self), rows)]

    def spread(self, rows: int) -> Block:
        """Return that many rows of it, evenly spread."""
        if len(self) <= rows:
            return self
        return self._part((torch.arange(rows) * 2 + 1) * len(self) // (2 * rows))

    def _part(self, which: slice | Tensor) -> Block:
        def taken(x: Tensor) -> Tensor:
            return x[which.to(x.device) if isinstance(which, Tensor) else which]

        return Block(
            taken(self.examples),
            taken(self.weights),
            taken(self.numbers),
            tuple(taken(x) for x in self.points),
            None if self.anchors is None else tuple(taken(x) for x in self.anchors),
        )

    def channels_last(self) -> Block:
        """Return the block with its images laid out channels last."""
        points = tuple(
            x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
            for x in self.points
        )
        return replace(self, points=points)


def packed(points: Iterator[WeightedPoint], rows: int) -> Iterator[Block]:
    """Pack whole points, or parts of them, into blocks of at most ``rows`` rows."""
    pending: list[Block] = []
    for number, item in enumerate(points):
        for piece in _pieces(number, item, rows):
            together = sum(len(block) for block in pending) + len(piece)
            if pending and (together > rows or _anchored(pending[0]) != _anchored(piece)):
                yield _joined(pending)
                pending = []
            pending.append(piece)
    if pending:
        yield _joined(pending)


def _pieces(number: int, item: WeightedPoint, rows: int) -> Iterator[Block]:
    item = WeightedPoint(*item)
    batch = len(item.point[0])
    weights = torch.full((batch,), float(item.weight), dtype=torch.float64)
    for examples in torch.split(torch.arange(batch), rows):
        part = slice(int(examples[0]), int(examples[-1]) + 1)
        yield Block(
            examples,
            weights[part],
            torch.full_like(examples, number),
            tuple(t[part] for t in item.point),
            None if item.anchor is None else tuple(t[part] for t in item.anchor),
        )


def _anchored(block: Block) -> bool:
    return block.anchors is not None


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    anchors = [block.anchors for block in blocks if block.anchors is not None]
    return replace(
        blocks[0],
        examples=torch.cat([block.examples for block in blocks]),
        weights=torch.cat([block.weights for block in blocks]),
        numbers=torch.cat([block.numbers for block in blocks]),
        points=_joined_tensors([block.points for block in blocks]),
        anchors=_joined_tensors(anchors) if anchors else None,
    )


def _joined_tensors(parts: Sequence[Tensors]) -> Tensors:
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def interpolated(start: Tensor, delta: Tensor, alpha: Tensor, examples: Tensor) -> Tensor:
    """Return ``start + alpha * delta`` for the rows of these examples."""
    start, delta = _take(start, examples), _take(delta, examples)
    return torch.addcmul(start, delta, column(alpha, delta))


def _take(x: Tensor, examples: Tensor) -> Tensor:
    """Return the rows of these examples; a single row is broadcast instead of copied."""
    return x if len(x) == 1 else x.index_select(0, examples.to(x.device))


def column(values: Tensor, like: Tensor) -> Tensor:
    """Shape (rows,) values so that they multiply ``like``, (rows, ...)."""
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))


def values_like(values: Values | Inputs, origin: Tensors, name: str) -> Tensors:
    """Return a value per input as tensors that broadcast against the inputs.

    Raises:
        TypeError: if they are named by inputs, which only a network knows the activations of.
        ValueError: if there is not one per input, or one has the wrong shape.
    """
    if names_inputs(values):
        raise TypeError(
            f"the {name} names inputs, {type(values).__name__}, whose activations only a network "
            "knows: give the distribution to DistributionalInfluence, which reads them"
        )
    given: Any = values if isinstance(values, tuple) else (values,) * len(origin)
    if len(given) != len(origin) or (len(origin) > 1 and isinstance(values, Tensor)):
        raise ValueError(
            f"expected one {name} for each of {len(origin)} inputs, got "
            f"{len(values) if isinstance(values, tuple) else 1}; pass a tuple"
        )
    return tuple(_value_like(v, x, name) for v, x in zip(given, origin, strict=True))


def _value_like(value: float | Tensor, x: Tensor, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        _check_whole(torch.tensor(float(value)), x, name)
        return torch.full((1,) * x.ndim, float(value), dtype=x.dtype, device=x.device)
    _check_whole(value, x, name)
    value = value.to(x)
    value = value.unsqueeze(0) if tuple(value.shape) == tuple(x.shape[1:]) else value
    if value.ndim == x.ndim and len(value) in (1, len(x)) and value.shape[1:] == x.shape[1:]:
        return value
    raise ValueError(
        f"expected a {name} of shape {tuple(x.shape)} or (1, ...), got {tuple(value.shape)}; for a "
        f"set of {name}s to draw from, use Baselines(tensor); for inputs whose activations are "
        f"meant, Inputs(tensor)"
    )


def _check_whole(value: Tensor, x: Tensor, name: str) -> None:
    """Refuse a fraction where inputs are whole numbers, such as token ids or bytes."""
    if x.is_floating_point() or x.is_complex() or not value.is_floating_point():
        return
    if not bool((value == value.round()).all()):
        raise ValueError(
            f"expected a {name} of whole numbers for inputs of type {x.dtype}, such as token ids, "
            "got fractions, which would be cut off: give whole numbers, or inputs of floats"
        )

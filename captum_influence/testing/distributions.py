"""What every distribution of interest promises, as one check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.points import WeightedPoint
from captum_influence.testing.agreement import close, copies, require
from captum_influence.testing.state import preserved, quietly, seed_all
from captum_influence.testing.values import numbers

__all__ = ["check_distribution"]

Tensors = tuple[Tensor, ...]


def check_distribution(
    distribution: Distribution,
    origin: Tensor | Tensors | None = None,
    *,
    rows: Sequence[int] = (1, 2, 5, 1000),
    picklable: bool = True,
) -> None:
    """Check what :class:`Distribution` promises.

    The points are the same each time, shaped like the origin, of its dtype and on its device;
    their weights sum to one; blocks of any size hold the same pairs; the random state and the
    origin are left as they were; copies and pickles yield the same points.

    Args:
        distribution: the one to check.
        origin: instances to put the points around; None: three of four float64 numbers.
        rows: the block sizes to try.
        picklable: whether to check pickling too (turn it off for lambdas).

    Raises:
        AssertionError: saying what was violated.

    Example:
        >>> from captum_influence.attr import Noise
        >>> check_distribution(Noise(0.1, n=3))
    """
    origin = (numbers(3, 4),) if origin is None else origin
    origin = origin if isinstance(origin, tuple) else (origin,)
    found = quietly(lambda: _points(distribution, origin), origin, "points()")
    _check_points(found, distribution, origin)
    _check_again(distribution, origin, found)
    for count in rows:
        _check_blocks(distribution, origin, found, count)
    _check_strata(distribution)
    _check_reference(distribution, origin)
    _check_precision(distribution, origin)
    for name, other in copies(distribution, picklable):
        require(_same(_points(other, origin), found), f"{name} yields other points")


def _points(distribution: Distribution, origin: Tensors) -> list[WeightedPoint]:
    return [WeightedPoint(*item) for item in distribution.points(origin)]


def _check_points(found: list[WeightedPoint], distribution: Distribution, origin: Tensors) -> None:
    require(len(found) > 0, "points() yielded nothing")
    for number, item in enumerate(found):
        _check_like(item.point, origin, f"point {number}")
        if item.anchor is not None:
            _check_like(item.anchor, origin, f"the anchor of point {number}")
    weights = [float(item.weight) for item in found]
    require(abs(sum(weights) - 1) < 1e-6, f"the weights sum to {sum(weights)}, expected 1")
    equal = max(weights) - min(weights) < 1e-9
    require(equal or not distribution.is_random, "is_random, but the weights are not equal")
    anchored = any(item.anchor is not None for item in found)
    require(distribution.is_anchored or not anchored, "points have anchors: set is_anchored")
    size = distribution.size
    require(size in (None, len(found)), f"size says {size}, but there are {len(found)} points")


def _check_like(tensors: Tensors, origin: Tensors, name: str) -> None:
    require(isinstance(tensors, tuple), f"{name} is a {type(tensors).__name__}, expected a tuple")
    require(
        len(tensors) == len(origin), f"{name} has {len(tensors)} tensors for {len(origin)} inputs"
    )
    for tensor, x in zip(tensors, origin, strict=True):
        came, expected = (_kind(t) for t in (tensor, x))
        require(came == expected, f"{name} is {came}, expected that of the origin: {expected}")


def _kind(x: Tensor) -> str:
    return f"{x.dtype} of shape {tuple(x.shape)} on {x.device}"


def _check_again(
    distribution: Distribution, origin: Tensors, found: Sequence[WeightedPoint]
) -> None:
    for seed in (1, 2):
        with preserved():
            seed_all(seed)
            again = _points(distribution, origin)
        require(
            _same(again, found),
            "the points differ from one call of points() to the next: draw them from a "
            "torch.Generator that is seed_all inside points()",
        )


def _same(left: Sequence[WeightedPoint], right: Sequence[WeightedPoint]) -> bool:
    if len(left) != len(right):
        return False
    return all(
        a.weight == b.weight and _equal(a.point, b.point) and _equal(a.anchor, b.anchor)
        for a, b in zip(left, right, strict=True)
    )


def _equal(left: Tensors | None, right: Tensors | None) -> bool:
    if left is None or right is None:
        return left is right
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def _check_blocks(
    distribution: Distribution, origin: Tensors, found: Sequence[WeightedPoint], rows: int
) -> None:
    seen: set[tuple[int, int]] = set()
    where = f"blocks(rows={rows})"
    for block in distribution.blocks(origin, rows):
        require(0 < len(block) <= rows, f"{where} yielded a block of {len(block)} rows")
        pairs = list(zip(block.numbers.tolist(), block.examples.tolist(), strict=True))
        for row, (number, example) in enumerate(pairs):
            require((number, example) not in seen, f"{where} repeat a pair: {(number, example)}")
            require(number < len(found), f"{where} hold points that points() doesn't")
            _check_row(block, row, found[number], example, where)
        seen.update(pairs)
    expected = len(found) * len(origin[0])
    require(len(seen) == expected, f"{where} hold {len(seen)} pairs, points() has {expected}")


def _check_row(block: Any, row: int, item: WeightedPoint, example: int, where: str) -> None:
    require(
        abs(float(block.weights[row]) - item.weight) < 1e-9,
        f"{where} give a point another weight than points()",
    )
    require(
        (block.anchors is None) == (item.anchor is None), f"{where} and points() differ in anchors"
    )
    rows = tuple(t[row] for t in (*block.points, *(block.anchors or ())))
    ours = tuple(t[example] for t in (*item.point, *(item.anchor or ())))
    for came, expected in zip(rows, ours, strict=True):
        require(close(came, expected, 1e-5), f"{where} hold other points than points()")


def _check_strata(distribution: Distribution) -> None:
    shares = [share for share, _ in distribution.strata()]
    require(abs(sum(shares) - 1) < 1e-6, f"the shares of strata() sum to {sum(shares)}, not 1")
    parts = [part for _, part in distribution.strata()]
    require(
        all(isinstance(part, Distribution) for part in parts), "strata() holds no Distributions"
    )


def _check_reference(distribution: Distribution, origin: Tensors) -> None:
    reference = distribution.reference(origin)
    if reference is not None:
        _check_like(reference, origin, "reference()")
    starts = reference is not None or distribution.is_anchored
    require(starts or not distribution.is_path, "is_path, but it says no start: answer reference()")


def _check_precision(distribution: Distribution, origin: Tensors) -> None:
    """Check that a float32 origin has float32 points."""
    if all(x.is_floating_point() for x in origin):
        single = tuple(x.float() for x in origin)
        _check_points(_points(distribution, single), distribution, single)

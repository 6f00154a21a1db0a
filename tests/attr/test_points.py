"""Blocks hold each pair of example and point once, and values fit the inputs that they are for."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence.attr.points import (
    Block,
    WeightedPoint,
    column,
    interpolated,
    packed,
    values_like,
)

X = torch.arange(6.0).reshape(3, 2)
Y = torch.arange(3.0)


def _points(count: int, anchored: tuple[int, ...] = ()) -> Iterator[WeightedPoint]:
    for number in range(count):
        anchor = (X - 1, Y - 1) if number in anchored else None
        yield WeightedPoint(1 / count, (X + 10 * number, Y + 10 * number), anchor)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 100])
def test_packed_blocks_hold_each_pair_once(rows: int) -> None:
    seen = []
    for block in packed(_points(5), rows):
        assert len(block) <= rows
        pairs = zip(block.examples.tolist(), block.numbers.tolist(), strict=True)
        for row, (example, number) in enumerate(pairs):
            assert torch.equal(block.points[0][row], X[example] + 10 * number)
            assert torch.equal(block.points[1][row], Y[example] + 10 * number)
            assert float(block.weights[row]) == pytest.approx(0.2)
            seen.append((number, example))
    assert seen == [(number, example) for number in range(5) for example in range(3)]


def test_blocks_are_filled_up() -> None:
    assert [len(block) for block in packed(_points(5), 6)] == [6, 6, 3]
    assert [len(block) for block in packed(_points(1), 2)] == [2, 1]


def test_points_with_and_without_anchors_go_apart() -> None:
    blocks = list(packed(_points(3, anchored=(1,)), 100))
    assert [block.anchors is None for block in blocks] == [True, False, True]
    anchors: Any = blocks[1].anchors
    assert torch.equal(anchors[0], X - 1)
    assert torch.equal(anchors[1], Y - 1)


def test_a_block_is_split_into_its_rows() -> None:
    (block,) = packed(_points(2, anchored=(0, 1)), 100)
    assert block.split(6) == [block]
    parts = block.split(4)
    assert [len(part) for part in parts] == [4, 2]
    for name in ("examples", "weights", "numbers"):
        whole = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(whole, getattr(block, name))
    for place in range(2):
        assert torch.equal(torch.cat([part.points[place] for part in parts]), block.points[place])


def test_images_are_laid_out_channels_last_and_others_left() -> None:
    images, one = torch.rand(2, 3, 4, 5), torch.ones(2)
    block = Block(torch.arange(2), one, torch.zeros(2), (images, X[:2]))
    laid = block.channels_last()
    assert laid.points[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(laid.points[0], images)
    assert laid.points[1] is block.points[1]


def test_interpolation_of_the_rows_asked_for() -> None:
    alpha, examples = torch.tensor([0.5, 0.25]), torch.tensor([2, 0])
    found = interpolated(X, X + 1, alpha, examples)
    assert torch.equal(found, X[examples] + alpha[:, None] * (X + 1)[examples])
    broadcast = interpolated(X[:1], X[:1] + 1, alpha, torch.tensor([0, 0]))
    assert torch.equal(broadcast, X[:1] + alpha[:, None] * (X[:1] + 1))
    assert column(alpha, torch.zeros(2, 3, 4)).shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (2.0, torch.full((1, 1), 2.0)),
        (X[0], X[:1]),
        (X[:1], X[:1]),
        (X.int(), X),
        ((X[0].double(),), X[:1]),
    ],
)
def test_values_fit_their_input(values: Any, expected: Tensor) -> None:
    (found,) = values_like(values, (X,), "baseline")
    assert torch.equal(found, expected)
    assert found.dtype == X.dtype


@pytest.mark.parametrize(
    ("values", "origin", "message"),
    [
        (
            X[:2],
            (X,),
            r"expected a baseline of shape \(3, 2\) or \(1, ...\), got \(2, 2\).*a set of",
        ),
        ((1.0, 2.0), (X,), "one baseline for each of 1 inputs, got 2"),
        ((1.0,), (X, Y), "one baseline for each of 2 inputs, got 1"),
        (X, (X, X), "pass a tuple"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: Any, origin: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values_like(values, origin, "baseline")

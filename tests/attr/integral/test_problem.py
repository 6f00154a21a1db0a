"""What the rows of a block see of the network's arguments."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, Point
from captum_influence.attr.integral.problem import Problem, span_of
from captum_influence.attr.points import Block
from captum_influence.network.slices import Slice

X = torch.arange(6.0).reshape(3, 2)


def _problem(extra: tuple[Any, ...] = (), *, inside: bool = False, count: int = 3) -> Problem:
    model = nn.Sequential(nn.Identity(), nn.Linear(2, 2))
    slice_ = Slice(model, [Cut("1")], sample_at=Cut("0") if inside else None)
    return Problem(slice_, Point(), (), (X[:count],), extra)


def _block(examples: list[int], points: Tensor) -> Block:
    rows = torch.tensor(examples)
    return Block(rows, torch.ones(len(rows)), torch.zeros_like(rows), (points,))


def test_inputs_are_the_points_or_those_of_the_rows_examples() -> None:
    points = torch.ones(4, 2)
    block = _block([2, 0, 0, 1], points)
    assert _problem().arguments(block)[0] == (points,)
    ((inputs,), _) = _problem(inside=True).arguments(block)
    assert torch.equal(inputs, X[[2, 0, 0, 1]])


def test_further_arguments_follow_their_examples() -> None:
    own, shared, number = torch.tensor([10, 20, 30]), torch.ones(5), torch.tensor(7.0)
    found = _problem((own, shared, number, "mode", None)).arguments(_block([2, 2, 0], X))[1]
    assert found[0].tolist() == [30, 30, 10]
    assert found[1] is shared
    assert found[2] is number
    assert found[3:] == ("mode", None)


def test_a_single_example_is_everyones() -> None:
    found = _problem((torch.tensor([[5.0, 6.0]]),), count=1).arguments(_block([0, 0, 0], X))[1]
    assert found[0].tolist() == [[5.0, 6.0]] * 3


def test_the_first_example_alone() -> None:
    problem = _problem((torch.tensor([10, 20, 30]), torch.ones(5), 2.5))
    assert problem.examples == 3
    (inputs,), extra = problem.one()
    assert torch.equal(inputs, X[:1])
    assert extra[0].tolist() == [10]
    assert extra[1].shape == (5,)
    assert extra[2] == 2.5


@pytest.mark.parametrize("value", [torch.tensor(3), torch.ones(2), "text", [1, 2, 3]])
def test_what_is_no_examples_own_is_not_cut(value: Any) -> None:
    assert span_of(value, slice(0, 1), 3) is value

"""What the rows of a block see of the network's inputs and arguments."""

from typing import Any

import torch
from torch import Tensor, nn

from captum_influence import Cut, Point
from captum_influence.attr.integral.problem import Problem
from captum_influence.attr.points import Block
from captum_influence.network.passes.arguments import Arguments
from captum_influence.network.slices import Slice

X = torch.arange(6.0).reshape(3, 2)


def _problem(extra: tuple[Any, ...] = (), *, inside: bool = False, count: int = 3) -> Problem:
    model = nn.Sequential(nn.Identity(), nn.Linear(2, 2))
    slice_ = Slice(model, [Cut("1")], sample_at=Cut("0") if inside else None)
    arguments = Arguments.of(extra, {}, count, lambda tensor: tensor)
    return Problem(slice_, Point(), (), (X[:count],), arguments)


def _block(examples: list[int], points: Tensor) -> Block:
    rows = torch.tensor(examples)
    return Block(rows, torch.ones(len(rows)), torch.zeros_like(rows), (points,))


def test_inputs_are_the_points_or_those_of_the_rows_examples() -> None:
    points = torch.ones(4, 2)
    block = _block([2, 0, 0, 1], points)
    assert _problem().bound(block)[0] == (points,)
    ((inputs,), _) = _problem(inside=True).bound(block)
    assert torch.equal(inputs, X[[2, 0, 0, 1]])


def test_further_arguments_follow_their_examples() -> None:
    own, shared, number = torch.tensor([10, 20, 30]), torch.ones(5), torch.tensor(7.0)
    problem = _problem((own, shared, number, "mode", None))
    found = problem.bound(_block([2, 2, 0], X))[1].given
    assert found[0].tolist() == [30, 30, 10]
    assert found[1] is shared
    assert found[2] is number
    assert found[3:] == ("mode", None)


def test_a_single_example_is_everyones() -> None:
    problem = _problem((torch.tensor([[5.0, 6.0]]),), count=1)
    found = problem.bound(_block([0, 0, 0], X))[1].given
    assert found[0].tolist() == [[5.0, 6.0]] * 3


def test_the_first_example_alone() -> None:
    problem = _problem((torch.tensor([10, 20, 30]), torch.ones(5), 2.5))
    assert problem.examples == 3
    (inputs,), bound = problem.one()
    assert torch.equal(inputs, X[:1])
    assert bound.given[0].tolist() == [10]
    assert bound.given[1].shape == (5,)
    assert bound.given[2] == 2.5

"""Equal questions are told alike, different ones apart, whatever they are made of."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from captum_influence import ClassScore, LinearPath, Noise
from captum_influence.data.identity import told


@dataclass
class Noted:
    a: int
    made: list[int] = field(default_factory=list, init=False)


def first(output: torch.Tensor) -> torch.Tensor:
    return output[:, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(3),
        lambda: {"a": [torch.ones(2), None], "b": (1, "x", 2.5)},
        lambda: ClassScore(1) - 2 * ClassScore(0),
        lambda: LinearPath(torch.zeros(1, 2), 4, "riemann_middle"),
        lambda: Noted(1),
        lambda: first,
        lambda: torch.float64,
        object,
    ],
)
def test_the_same_is_told_alike_and_fits_into_json(make: Callable[[], Any]) -> None:
    assert told(make()) == told(make())
    assert json.loads(json.dumps(told(make()))) == told(make())


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.zeros(2), torch.zeros(2, 1)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"b": 1}),
        (ClassScore(0), ClassScore(1)),
        (Noise(0.1, 2, seed=0), Noise(0.1, 2, seed=1)),
        (LinearPath(0.0, 4), LinearPath(0.0, 8)),
        (lambda y: y[:, 0], lambda y: y[:, 1]),
        (first, lambda y: y[:, 0]),
        (torch.relu, torch.sigmoid),
        (Noise, LinearPath),
    ],
)
def test_what_differs_is_told_apart(a: Any, b: Any) -> None:
    assert told(a) != told(b)


def test_fields_that_are_no_arguments_do_not_count() -> None:
    one, other = Noted(1), Noted(1)
    other.made.append(3)
    assert told(one) == told(other)

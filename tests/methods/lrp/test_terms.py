"""Sums, differences and scalings, in every way in which torch writes them."""

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from captum_influence.methods.lrp.terms import Terms, follows, leaf_of, terms_of

X, Y = leaf_of(torch.rand(2, 3)), leaf_of(torch.rand(2, 3))
FIXED = torch.rand(3)

WRITTEN: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float, float]] = {
    "x + y": (operator.add, 1, 1),
    "torch.add": (torch.add, 1, 1),
    "torch.add, alpha": (lambda x, y: torch.add(x, y, alpha=0.1), 1, 0.1),
    "Tensor.add, alpha": (lambda x, y: x.add(y, alpha=-3), 1, -3),
    "torch.add by name": (lambda x, y: torch.add(input=x, other=y, alpha=2), 1, 2),
    "x - y": (operator.sub, 1, -1),
    "torch.sub, alpha": (lambda x, y: torch.sub(x, y, alpha=0.5), 1, -0.5),
    "subtract": (torch.subtract, 1, -1),
    "Tensor.sub": (lambda x, y: x.sub(y, alpha=2), 1, -2),
    "rsub": (torch.rsub, -1, 1),
    "rsub, alpha": (lambda x, y: torch.rsub(x, y, alpha=3), -3, 1),
    "x += y": (lambda x, y: operator.iadd(x.clone(), y), 1, 1),
    "add_, alpha": (lambda x, y: x.clone().add_(y, alpha=4), 1, 4),
    "x -= y": (lambda x, y: operator.isub(x.clone(), y), 1, -1),
}
SCALED: dict[str, tuple[Callable[[Tensor], Tensor], Any]] = {
    "2 * x": (lambda x: 2 * x, 2),
    "x * 2": (lambda x: x * 2, 2),
    "x / 4": (lambda x: x / 4, 0.25),
    "torch.mul": (lambda x: torch.mul(x, 0.5), 0.5),
    "torch.div": (lambda x: torch.div(x, 8), 0.125),
    "-x": (operator.neg, -1),
    "x *= 3": (lambda x: operator.imul(x.clone(), 3), 3),
    "a weight": (lambda x: FIXED * x, FIXED),
    "x / a weight": (lambda x: x / FIXED, 1 / FIXED),
    "1 - x": (lambda x: 1 - x, None),
    "x - mean": (lambda x: x - FIXED, None),
}


class Noted(TorchFunctionMode):
    """Notes what terms says of the last function that isn't a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Terms | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ not in ("clone", "__get__"):
            self.found = terms_of(func.__name__, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def _total(found: Terms) -> Tensor:
    return sum(value * factor for value, factor in found)  # type: ignore[return-value]


@pytest.mark.parametrize("way", WRITTEN)
def test_sums_and_differences_are_their_values_times_their_factors(way: str) -> None:
    write, first, second = WRITTEN[way]
    with Noted() as noted:
        result = write(X, Y)
    assert noted.found is not None
    assert sorted(factor for _, factor in noted.found) == sorted([first, second])
    torch.testing.assert_close(first * X + second * Y, result)
    if "=" not in way and "_" not in way:  # what is changed in place isn't what it was
        torch.testing.assert_close(_total(noted.found), result)


@pytest.mark.parametrize("way", SCALED)
def test_scalings_by_what_does_not_follow_the_inputs(way: str) -> None:
    write, factor = SCALED[way]
    with Noted() as noted:
        result = write(X)
    assert noted.found is not None
    assert len(noted.found) == (2 if factor is None else 1)
    if "=" not in way:
        torch.testing.assert_close(_total(noted.found), result)


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("mul", (X, Y), {}),
        ("div", (X, Y), {}),
        ("div", (1.0, X), {}),
        ("div", (X, 2), {"rounding_mode": "floor"}),
        ("sin", (X,), {}),
        ("mul", (X[:, :1], FIXED), {}),  # it spreads one value over three
    ],
)
def test_what_is_neither_has_no_terms(name: str, args: Any, kwargs: Any) -> None:
    assert terms_of(name, args, kwargs) is None


def test_what_follows_the_inputs_requires_a_graph() -> None:
    assert follows(X * 2)
    assert not follows(FIXED)
    assert not follows(2.0)

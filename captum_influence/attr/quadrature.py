"""Quadrature rules on [0, 1]: where to put the points of a path, and what each one weighs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "GaussLegendre",
    "LeftRiemann",
    "Midpoint",
    "RightRiemann",
    "Rule",
    "Trapezoid",
]


_Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
_NEWTON_STEPS = 3


class Rule(ABC):
    r"""Approximates :math:`\int_0^1 f(\alpha)\,d\alpha` by :math:`\sum_k w_k f(\alpha_k)`.

    A subclass answers :meth:`nodes_and_weights`; the weights sum to one.
    """

    #: fewest points for which the rule is defined
    minimum: ClassVar[int] = 1

    @abstractmethod
    def nodes_and_weights(self, n: int) -> tuple[Tensor, Tensor]:
        """Return ``n`` increasing nodes in [0, 1] and their weights, both float64 of shape (n,)."""

    def __call__(self, n: int) -> tuple[Tensor, Tensor]:
        """Check ``n`` and return :meth:`nodes_and_weights` of it.

        Raises:
            ValueError: if ``n`` is smaller than the rule's minimum.
        """
        if n < self.minimum:
            raise ValueError(
                f"{type(self).__name__} needs at least {self.minimum} point(s), got n={n}: "
                "ask for more points, or use Midpoint, which is defined for one"
            )
        return self.nodes_and_weights(n)

    @staticmethod
    def ensure(value: Rule | str) -> Rule:
        """Return a rule as it is, or the rule that one of Captum's ``method`` strings names.

        Raises:
            ValueError: if the string names no rule.
        """
        if isinstance(value, Rule):
            return value
        if value not in _BY_CAPTUM_NAME:
            raise ValueError(
                f"expected a Rule or one of {sorted(_BY_CAPTUM_NAME)} as the quadrature method, "
                f"got {value!r}"
            )
        return _BY_CAPTUM_NAME[value]


@dataclass(frozen=True)
class GaussLegendre(Rule):
    """Exact for polynomials up to degree 2n - 1: the choice for smooth networks (GELU, tanh).

    Example:
        >>> nodes, weights = GaussLegendre()(2)
        >>> round(float((weights * nodes**3).sum()), 12)
        0.25
    """

    def nodes_and_weights(self, n: int) -> tuple[Tensor, Tensor]:
        nodes, weights = _gauss_legendre(n)
        return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


@dataclass(frozen=True)
class Midpoint(Rule):
    """The middle of n equal cells: the choice for ReLU networks, whose integrand has jumps.

    The nodes for ``n`` points are among those for ``3 n``, so the rule can estimate its own error.
    """

    def nodes_and_weights(self, n: int) -> tuple[Tensor, Tensor]:
        return (_steps(n) + 0.5) / n, _equal_weights(n)


@dataclass(frozen=True)
class LeftRiemann(Rule):
    """The left end of n equal cells; the baseline itself is a point, the input is not."""

    def nodes_and_weights(self, n: int) -> tuple[Tensor, Tensor]:
        return _steps(n) / n, _equal_weights(n)


@dataclass(frozen=True)
class RightRiemann(Rule):
    """The right end of n equal cells; the input itself is a point, the baseline is not."""

    def nodes_and_weights(self, n: int) -> tuple[Tensor, Tensor]:
        return (_steps(n) + 1) / n, _equal_weights(n)


@dataclass(frozen=True)
class Trapezoid(Rule):
    """Both ends are points and weigh half. The weights sum to one, which Captum's do not."""

    minimum: ClassVar[int] = 2

    def nodes_and_weights(self, n: int) -> tuple[Tensor, Tensor]:
        weights = torch.full((n,), 1 / (n - 1), dtype=torch.float64)
        weights[[0, -1]] /= 2
        return _steps(n) / (n - 1), weights


@lru_cache(maxsize=64)
def _gauss_legendre(n: int) -> tuple[_Numbers, _Numbers]:
    """Return the zeros of the Legendre polynomial P_n in increasing order, and their weights.

    Newton's method from Tricomi's asymptotic zeros, which are right to about n**-4, so that three
    steps suffice for any n; P_n by its recurrence, at the zeros in [0, 1) alone, for they lie in
    pairs. As many operations as n**2, where the eigenvalues of the companion matrix take n**3.
    """
    places = np.arange(1, (n + 1) // 2 + 1)
    angle = np.pi * (4 * places - 1) / (4 * n + 2)
    below = (n - 1) / (8 * n**3) + (39 - 28 / np.sin(angle) ** 2) / (384 * n**4)
    x = (1 - below) * np.cos(angle)
    for _ in range(_NEWTON_STEPS):
        before, last = _legendre(n, x)
        x = x - last * (1 - x**2) / (n * (before - x * last))
    if n % 2:
        x[-1] = 0.0
    before, _last = _legendre(n, x)
    weights = 2 * (1 - x**2) / (n * before) ** 2
    pairs = n // 2
    nodes = np.concatenate([-x, x[:pairs][::-1]])
    both = np.concatenate([weights, weights[:pairs][::-1]])
    return nodes, both * (2 / both.sum())


def _legendre(n: int, x: _Numbers) -> tuple[_Numbers, _Numbers]:
    """Return P_{n-1} and P_n at x, n >= 1."""
    before, last = np.ones_like(x), x
    for k in range(2, n + 1):
        before, last = last, ((2 * k - 1) * x * last - (k - 1) * before) / k
    return before, last


def _steps(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float64)


def _equal_weights(n: int) -> Tensor:
    return torch.full((n,), 1 / n, dtype=torch.float64)


_BY_CAPTUM_NAME: dict[str, Rule] = {
    "gausslegendre": GaussLegendre(),
    "riemann_left": LeftRiemann(),
    "riemann_middle": Midpoint(),
    "riemann_right": RightRiemann(),
    "riemann_trapezoid": Trapezoid(),
}

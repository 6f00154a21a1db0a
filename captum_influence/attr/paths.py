"""Straight paths: with a fixed rule, refined until they are accurate, or shared by examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from captum_influence.attr.distributions import Distribution, check_count, check_interpolable
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.points import (
    Block,
    Tensors,
    Values,
    WeightedPoint,
    column,
    interpolated,
    values_like,
)
from captum_influence.attr.quadrature import GaussLegendre, Midpoint, Rule
from captum_influence.reports.asked import Write, code_of_fields

__all__ = ["LinearPath", "PathNodes", "StratifiedPath"]

_GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo one, are spread evenly however many there are


@dataclass(frozen=True, eq=False)
class PathNodes(Distribution):
    """Nodes given outright on the straight path from a baseline, for all examples or some.

    ``alphas`` is (points,), or (examples, points) where each example has nodes of its own;
    ``weights`` is (points,); ``examples``, int64, are those that the nodes are for.
    """

    baseline: Values | Inputs
    alphas: Tensor
    weights: Tensor
    examples: Tensor | None = None
    is_path: ClassVar[bool] = True

    @property
    def size(self) -> int:
        return len(self.weights)

    def reference(self, origin: Tensors) -> Tensors:
        return tuple(b.expand_as(x) for x, b in zip(origin, self._start(origin), strict=True))

    def _start(self, origin: Tensors) -> Tensors:
        for x in origin:
            check_interpolable(x)
        return values_like(self.baseline, origin, "baseline")

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        start = self._start(origin)
        for k, weight in enumerate(self.weights.tolist()):
            alpha = self.alphas[..., k].reshape(-1)
            pairs = zip(origin, start, strict=True)
            yield WeightedPoint(weight, tuple(b + column(alpha, x) * (x - b) for x, b in pairs))

    def blocks(self, origin: Tensors, rows: int) -> Iterator[Block]:
        """Interpolate whole blocks at once, laid out example by example."""
        start = self._start(origin)
        delta = tuple(x - b for x, b in zip(origin, start, strict=True))
        chosen = torch.arange(len(origin[0])) if self.examples is None else self.examples
        for row in torch.split(torch.arange(len(chosen) * self.size), rows):
            examples, numbers = chosen[row // self.size], row % self.size
            own = self.alphas.ndim > 1
            alphas = self.alphas[examples, numbers] if own else self.alphas[numbers]
            pairs = zip(start, delta, strict=True)
            points = tuple(interpolated(b, d, alphas, examples) for b, d in pairs)
            yield Block(examples, self.weights[numbers], numbers, points)


@dataclass(frozen=True, eq=False)
class LinearPath(Distribution):
    r"""The straight path :math:`b + \alpha (x - b)`, uniform in :math:`\alpha \in [0, 1]`.

    Args:
        baseline: where the path starts: a number, a tensor of one example or of as many as there
            are inputs, or a tuple of these, one per input; or :class:`Inputs`, inputs whose
            activations are meant.
        n: number of points; ``"auto"``: for each example 2, 6, 18, ... midpoints until the
            estimated relative error of its influence is below ``tolerance``.
        rule: a quadrature :class:`Rule`, or Captum's string for one; None: Gauss-Legendre.
            :class:`Midpoint` is better on ReLU networks.
        tolerance: for ``n="auto"``, a share of the L2 norm.

    Source: the distribution of Integrated Gradients (Sundararajan et al., 2017) and of Captum's
    ``InternalInfluence``.
    """

    baseline: Values | Inputs = 0.0
    n: int | Literal["auto"] = 50
    rule: Rule | str | None = None
    tolerance: float = 0.01
    interpolates: ClassVar[bool] = True
    is_path: ClassVar[bool] = True

    def __post_init__(self) -> None:
        rule = Rule.ensure(self.rule or (Midpoint() if self.is_adaptive else GaussLegendre()))
        object.__setattr__(self, "rule", rule)
        if self.is_adaptive and not isinstance(rule, Midpoint):
            raise ValueError(
                f'n="auto" refines the midpoint rule, got rule={rule}: leave the rule out, or '
                "give a number of points"
            )
        if not self.tolerance > 0:
            raise ValueError(f"expected a positive tolerance, got {self.tolerance}")
        self._nodes()

    @property
    def is_adaptive(self) -> bool:
        """Whether the number of points is chosen for each example."""
        return self.n == "auto"

    @property
    def size(self) -> int | None:
        return None if isinstance(self.n, str) else self.n

    def located(self, locate: Callable[..., Any]) -> LinearPath:
        return replace(self, baseline=locate(self.baseline))

    def in_words(self) -> str:
        start = self.baseline
        begin = f"{start:g} everywhere" if isinstance(start, int | float) else "a baseline"
        return f"{self.n} points on the straight path from {begin} to the input"

    def code(self, write: Write) -> str:
        usual = Midpoint() if self.is_adaptive else GaussLegendre()
        return code_of_fields(self, write, but=["rule"] if self.rule == usual else [])

    def _nodes(self) -> PathNodes:
        n = 54 if self.n == "auto" else self.n  # a fixed choice where none can be made
        check_count(n)
        return PathNodes(self.baseline, *Rule.ensure(self.rule or Midpoint())(int(n)))

    def reference(self, origin: Tensors) -> Tensors:
        return self._nodes().reference(origin)

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        return self._nodes().points(origin)

    def blocks(self, origin: Tensors, rows: int) -> Iterator[Block]:
        return self._nodes().blocks(origin, rows)

    def refined(self, n: int, examples: Tensor) -> PathNodes:
        """Return those of ``n`` midpoints that are not among ``n / 3``, for these examples."""
        alphas, weights = Midpoint()(n)
        new = torch.ones(n, dtype=torch.bool)
        if n % 3 == 0:
            new[1::3] = False
        return PathNodes(self.baseline, alphas[new], weights[new], examples)


@dataclass(frozen=True, eq=False)
class StratifiedPath(Distribution):
    r"""A few points on each example's path, spread over the path by the examples together.

    Example i has the nodes :math:`(k + u_i)/n`, with offsets :math:`u_i` that fill [0, 1) evenly
    over consecutive examples (a golden-ratio sequence with a random shift). Each example's
    influence is rough, but unbiased, and the **mean over a group** is nearly that of a fine path:
    the choice for data sets.

    Args:
        baseline: as for :class:`LinearPath`.
        n: points per example.
        seed: of the shift.
        numbers: which place in the sequence each example has; None: 0, 1, 2, ...
    """

    baseline: Values | Inputs = 0.0
    n: int = 4
    seed: int = 0
    numbers: Tensor | None = None
    interpolates: ClassVar[bool] = True
    is_path: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count(self.n)

    @property
    def size(self) -> int:
        return self.n

    def numbered(self, numbers: Tensor) -> StratifiedPath:
        return replace(self, numbers=numbers)

    def located(self, locate: Callable[..., Any]) -> StratifiedPath:
        return replace(self, baseline=locate(self.baseline))

    def _nodes(self, origin: Tensors) -> PathNodes:
        numbers = torch.arange(len(origin[0])) if self.numbers is None else self.numbers
        shift = torch.rand(
            1, generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64
        )
        offsets = (shift + numbers.double() * _GOLDEN) % 1.0
        alphas = (torch.arange(self.n, dtype=torch.float64) + offsets.unsqueeze(1)) / self.n
        weights = torch.full((self.n,), 1 / self.n, dtype=torch.float64)
        return PathNodes(self.baseline, alphas, weights)

    def reference(self, origin: Tensors) -> Tensors:
        return self._nodes(origin).reference(origin)

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        return self._nodes(origin).points(origin)

    def blocks(self, origin: Tensors, rows: int) -> Iterator[Block]:
        return self._nodes(origin).blocks(origin, rows)

"""How sure the integral is: standard errors, error estimates, and refinement until it suffices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from captum_influence.attr.distributions import Distribution, Mixture
from captum_influence.attr.integral.engine import expected_gradient
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.integral.sums import Integral
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.points import Tensors
from captum_influence.attr.quadrature import Midpoint

__all__ = ["Estimate", "estimated", "norms", "refined", "with_standard_error"]

#: Share of the difference between n and n / 3 midpoints that covered the true error in all cases
#: measured; 0.45 did in most. See ``benchmarks/points.py``.
SAFETY = 0.55
_FIRST, _MOST = 2, 486  # 2, 6, 18, 54, 162, 486 points


@dataclass(frozen=True, eq=False)
class Estimate:
    """An integral and how sure it is.

    Attributes:
        integral: the sums, (quantities, examples, ...) each.
        variances: of the sums, shaped like them; empty unless asked for.
        change: from a third of the points to all of them, shaped like the sums; likewise.
        points: how many points each example took, (examples,).
    """

    integral: Integral
    variances: Tensors
    change: Tensors
    points: Tensor


def estimated(problem: Problem, options: Options, *, coarse: bool = False) -> Estimate:
    """Integrate; with ``coarse`` also compare with the midpoint rule on a third of the points.

    Raises:
        ValueError: if ``coarse`` and the points are not a multiple of three midpoints.
    """
    path = problem.distribution
    if isinstance(path, LinearPath) and path.is_adaptive:
        return refined(problem, path, options)
    if coarse:
        _check_nested(path)
    integral = expected_gradient(replace(problem, coarse=coarse), options)
    pairs = zip(integral.sums, integral.coarse, strict=False)
    return Estimate(integral, (), tuple(a - b for a, b in pairs), _points(integral, problem))


def refined(problem: Problem, path: LinearPath, options: Options) -> Estimate:
    r"""Refine the midpoint rule threefold, example by example, until the error is tolerable.

    The error of :math:`M_{3n}` is estimated as :math:`0.55\,\lVert M_{3n} - M_n\rVert_2`, and an
    example is done when that is below ``path.tolerance`` of :math:`\lVert M_{3n}\rVert_2` at every
    cut and for every quantity, or at 486 points.
    """
    active, n = torch.arange(problem.examples), _FIRST
    points = torch.full((problem.examples,), n)
    integral = expected_gradient(_at(problem, path, n, active), options)
    change = tuple(torch.zeros_like(total) for total in integral.sums)
    while len(active) and n < _MOST:
        n *= 3
        finer = expected_gradient(_at(problem, path, n, active), options)
        for total, new, step in zip(integral.sums, finer.sums, change, strict=True):
            here = active.to(total.device)
            step[:, here] = new[:, here] - total[:, here] * (2 / 3)
            total[:, here] += step[:, here]
        rows = integral.rows + finer.rows
        integral = replace(integral, rows=rows, chosen=finer.chosen)
        points[active] = n
        active = active[_unsettled(integral, change, path.tolerance)[active]]
    return Estimate(integral, (), change, points)


def with_standard_error(problem: Problem, options: Options) -> Estimate:
    """Integrate each independent part of the distribution, and sum up their variances.

    Raises:
        ValueError: if no part is random, or one has a single draw.
    """
    strata = problem.distribution.strata()
    if not any(part.is_random for _, part in strata):
        raise ValueError(
            f"{type(problem.distribution).__name__} draws nothing, so it has no standard error; "
            "use Noise, Baselines or Samples, or leave return_standard_error out"
        )
    shares = [share for share, _ in strata]
    integrals, variances = [], []
    for _, part in strata:
        anchored = part if problem.activations is None else Mixture([(1.0, part)])
        integral = expected_gradient(replace(problem, distribution=anchored, squares=True), options)
        integrals.append(integral)
        variances.append(_variances(integral, part, problem.examples))
    total = _mixed(shares, integrals)
    squared = [share**2 for share in shares]
    return Estimate(total, _weighted_sum(squared, variances), (), _points(total, problem))


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """Return the L2 norm over the units of tensors (quantities, examples, ...), in float64."""
    squares = [(t.double() ** 2).reshape(*t.shape[:2], -1).sum(dim=2) for t in tensors]
    return torch.stack(squares).sum(dim=0).sqrt()


def _points(integral: Integral, problem: Problem) -> Tensor:
    return torch.full((problem.examples,), integral.rows // problem.examples)


def _at(problem: Problem, path: LinearPath, n: int, examples: Tensor) -> Problem:
    return replace(problem, distribution=path.refined(n, examples))


def _unsettled(integral: Integral, change: Tensors, tolerance: float) -> Tensor:
    """Return which examples still change too much at some cut, (examples,)."""
    restless = torch.zeros(integral.sums[0].shape[1], dtype=torch.bool)
    start = 0
    for count in integral.tensors:
        part = slice(start, start + count)
        error = SAFETY * norms(change[part])
        restless |= (error > tolerance * norms(integral.sums[part])).any(dim=0).cpu()
        start += count
    return restless


def _check_nested(path: Distribution) -> None:
    midpoints = isinstance(path, LinearPath) and isinstance(path.rule, Midpoint)
    if not midpoints or path.size is None or path.size % 3:
        raise ValueError(
            "an error estimate compares n midpoints with n / 3 of them: it needs a LinearPath with "
            f'rule="riemann_middle" and n divisible by 3, got {path}'
        )


def _variances(integral: Integral, part: Distribution, examples: int) -> Tensors:
    """Return the variance of a mean of n equally weighted draws from its sums of terms g / n."""
    n = integral.rows // examples
    if not part.is_random:
        return tuple(torch.zeros_like(total) for total in integral.sums)
    if n < 2:
        raise ValueError("a standard error needs at least 2 draws, got 1: raise n")
    both = zip(integral.squares, integral.sums, strict=True)
    return tuple((n * squares - total**2) / (n - 1) for squares, total in both)


def _mixed(shares: Sequence[float], parts: Sequence[Integral]) -> Integral:
    pairs = list(zip(shares, parts, strict=True))
    anchored = [share * part.anchored for share, part in pairs if part.anchored is not None]
    return replace(
        parts[0],
        sums=_weighted_sum(shares, [part.sums for part in parts]),
        anchored=torch.stack(anchored).sum(dim=0) if anchored else None,
        anchored_weight=sum(share * part.anchored_weight for share, part in pairs),
        rows=sum(part.rows for part in parts),
    )


def _weighted_sum(shares: Sequence[float], parts: Sequence[Tensors]) -> Tensors:
    columns = zip(*parts, strict=True)
    return tuple(sum(s * t for s, t in zip(shares, column, strict=True)) for column in columns)

"""Counts, means and variances that grow batch by batch and merge across processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments"]


@dataclass(frozen=True, eq=False)
class Moments:
    """The count, the mean and the sum of squared deviations of examples, in float64.

    ``mean`` and ``squares`` have the shape of one example. Batches are merged by the pairwise rule
    of Chan, Golub and LeVeque (1983), which doesn't cancel when the mean is large.

    Example:
        >>> moments = Moments.of(torch.tensor([[1.0], [3.0]]))
        >>> (moments.count, float(moments.mean), float(moments.variance))
        (2, 2.0, 2.0)
    """

    count: int
    mean: Tensor
    squares: Tensor

    @staticmethod
    def of(examples: Tensor) -> Moments:
        """Return the moments of a batch (examples, ...)."""
        values = examples.detach().to("cpu", torch.float64)
        mean = values.mean(dim=0)
        return Moments(len(values), mean, ((values - mean) ** 2).sum(dim=0))

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both sets of examples together."""
        count = self.count + other.count
        delta = other.mean - self.mean
        return Moments(
            count,
            self.mean + delta * (other.count / count),
            self.squares + other.squares + delta**2 * (self.count * other.count / count),
        )

    @staticmethod
    def merged_all(parts: Sequence[Moments]) -> Moments:
        """Return the moments of all parts together, merged in order."""
        total = parts[0]
        for part in parts[1:]:
            total = total.merged(part)
        return total

    @property
    def variance(self) -> Tensor:
        """The unbiased variance; NaN for a single example."""
        if self.count < 2:
            return torch.full_like(self.squares, torch.nan)
        return self.squares / (self.count - 1)

    @property
    def standard_error(self) -> Tensor:
        """The standard error of the mean; NaN for a single example."""
        return (self.variance / self.count).sqrt()

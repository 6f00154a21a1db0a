"""Ranks and rank correlation, with ties shared evenly."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["average_ranks", "spearman"]


def average_ranks(values: Tensor) -> Tensor:
    """Return ranks from 1 along the last dimension; equal values share their mean rank.

    Shape:
        (..., n) -> (..., n) float64.
    """
    rows = values.detach().double().reshape(-1, values.shape[-1])
    return torch.stack([_row_ranks(row) for row in rows]).reshape(values.shape)


def spearman(first: Tensor, second: Tensor) -> Tensor:
    r"""Return Spearman's rank correlation along the last dimension, in [-1, 1].

    .. math:: \rho = \mathrm{corr}(\mathrm{rank}(a), \mathrm{rank}(b))

    Pitfall: it weighs the order of the many irrelevant entries as much as that of the few relevant
    ones. Where either side is constant there is no order, and the result is NaN.

    Shape:
        (..., n), (..., n) -> (...) float64.

    Source: Spearman 1904, American Journal of Psychology 15.

    Raises:
        ValueError: if shapes differ.

    Example:
        >>> spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 9.0])).item()
        1.0
    """
    if first.shape != second.shape or first.ndim == 0:
        raise ValueError(
            f"expected two tensors of one shape (..., n), got {tuple(first.shape)} and "
            f"{tuple(second.shape)}"
        )
    a, b = (ranks - ranks.mean(-1, keepdim=True) for ranks in map(average_ranks, (first, second)))
    scale = (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    found = (a * b).sum(-1) / scale
    return torch.where(scale > 0, found, torch.nan).clamp(-1, 1)


def _row_ranks(row: Tensor) -> Tensor:
    _, place, counts = torch.unique(row, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks: Tensor = (last - (counts.double() - 1) / 2)[place]
    return ranks

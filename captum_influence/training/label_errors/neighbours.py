"""The nearest neighbours of each example."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["nearest_neighbours"]

_ROWS = 1024  # of the distances that are held at once


def nearest_neighbours(features: Tensor, count: int) -> Tensor:
    """Return the indices of each example's nearest others by Euclidean distance.

    Args:
        features: (examples, numbers).
        count: how many.

    Returns:
        (examples, count), the nearest first.

    Raises:
        ValueError: if there aren't as many others.

    Example:
        >>> nearest_neighbours(torch.tensor([[0.0], [1.0], [3.0]]), 1).flatten()
        tensor([1, 0, 1])
    """
    if not 1 <= count < len(features):
        raise ValueError(
            f"expected neighbours from 1 to {len(features) - 1}, the number of other examples, "
            f"got {count}"
        )
    found = []
    for start in range(0, len(features), _ROWS):
        distances = torch.cdist(features[start : start + _ROWS], features)
        rows = torch.arange(len(distances))
        distances[rows, start + rows] = torch.inf  # itself
        found.append(distances.topk(count, largest=False).indices)
    return torch.cat(found)

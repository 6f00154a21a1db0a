"""A blob in the middle: what a map gets that knows nothing of picture or network."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["centre_prior"]


def centre_prior(height: int, width: int) -> Tensor:
    r"""Return :math:`e^{-2 r^2}` (height, width), r the distance from the middle, 1 at the edges.

    Photographs are aimed at their subject, so a map that finds it must do better than this.

    Raises:
        ValueError: if there are no pixels.
    """
    if min(height, width) < 1:
        raise ValueError(
            f"expected a positive height and width, got {height} and {width}: pass the picture's"
        )
    down, across = (torch.linspace(-1, 1, size) for size in (height, width))
    return (-2 * (down[:, None].square() + across.square())).exp()

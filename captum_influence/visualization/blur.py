"""A Gaussian blur of pictures and maps."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Outside", "gaussian_blur"]

Outside = Literal["edge", "mirror", "zero"]
_MODES = {"edge": "replicate", "mirror": "reflect", "zero": "constant"}


def gaussian_blur(values: Tensor, sigma: float, outside: Outside = "edge") -> Tensor:
    """Smooth (..., height, width) by a Gaussian of a standard deviation in pixels; 0: not at all.

    Args:
        values: pictures or maps.
        sigma: standard deviation in pixels; the kernel is cut off at three of them.
        outside: what lies beyond the border: the ``"edge"`` repeated, the ``"mirror"`` image (which
            needs a kernel that fits into the picture), or ``"zero"``.
    """
    if sigma <= 0:
        return values
    height, width = values.shape[-2:]
    smooth = values.reshape(-1, 1, height, width)
    for size, turn in ((width, False), (height, True)):
        reach = max(1, round(3 * sigma))
        reach = min(reach, size - 1) if outside == "mirror" else reach
        steps = torch.arange(-reach, reach + 1, dtype=torch.float64, device=values.device)
        kernel = torch.exp(-(steps**2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).to(values.dtype).view(1, 1, 1, -1)
        sides = (0, 0, reach, reach) if turn else (reach, reach, 0, 0)
        padded = F.pad(smooth, sides, mode=_MODES[outside])
        smooth = F.conv2d(padded, kernel.mT if turn else kernel)
    return smooth.reshape(values.shape)

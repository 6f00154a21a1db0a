"""Where in the picture: percentile masks, connected regions and crops of an influence map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Region", "connected_regions", "cropped", "percentile_mask"]


@dataclass(frozen=True)
class Region:
    """A connected part of a mask.

    Attributes:
        box: (top, left, bottom, right) in pixels; bottom and right lie outside.
        pixels: how many it has.
        share: its part of the map's positive total, from 0 to 1.
        peak: (row, column) of the largest value in it.
    """

    box: tuple[int, int, int, int]
    pixels: int
    share: float
    peak: tuple[int, int]


def percentile_mask(values: Tensor, percentile: float) -> Tensor:
    """Return the pixels (H, W) above this percentile of the map, among those above zero."""
    if not 0 <= percentile < 100:
        raise ValueError(f"expected a percentile from 0 to below 100, got {percentile}")
    count = max(1, round(values.numel() * (1 - percentile / 100)))
    threshold = values.flatten().topk(count).values[-1]
    return (values >= threshold) & (values > 0)


def connected_regions(mask: Tensor, values: Tensor) -> tuple[Region, ...]:
    """Return the 8-connected parts of a mask (H, W), the one with the largest share first."""
    labels = _labels(mask)
    total = float(values.clamp(min=0).double().sum())
    numbers = set(labels.flatten().tolist()) - {0}
    found = [_region(labels == number, values, total) for number in sorted(numbers)]
    return tuple(sorted(found, key=lambda region: -region.share))


def cropped(
    picture: Tensor, region: Region, margin: float = 0.25, least: float = 0.2
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Cut a square around a region out of a picture (channels, H, W), and return its box too.

    Args:
        picture: what to cut.
        region: around which.
        margin: added on each side, as a part of the region's longer side.
        least: the smallest side, as a part of the picture's shorter side.
    """
    height, width = picture.shape[-2:]
    top, left, bottom, right = region.box
    longer = max(bottom - top, right - left)
    side = max(round(longer * (1 + 2 * margin)), round(least * min(height, width)), 1)
    y0, y1 = _span((top + bottom) / 2, side, height)
    x0, x1 = _span((left + right) / 2, side, width)
    return picture[..., y0:y1, x0:x1], (y0, x0, y1, x1)


def _span(middle: float, side: int, size: int) -> tuple[int, int]:
    """Return where a side around a middle begins and ends, moved to lie within the picture."""
    side = min(side, size)
    start = min(max(round(middle - side / 2), 0), size - side)
    return start, start + side


def _labels(mask: Tensor) -> Tensor:
    """Number the 8-connected parts of a mask: every pixel takes the largest number it touches."""
    inside = mask.to(torch.float64)
    labels = torch.arange(1, mask.numel() + 1, dtype=torch.float64).view(mask.shape) * inside
    while True:
        spread = F.max_pool2d(labels[None], 3, stride=1, padding=1)[0] * inside
        if torch.equal(spread, labels):
            return labels.long()
        labels = spread


def _region(part: Tensor, values: Tensor, total: float) -> Region:
    rows, columns = part.nonzero(as_tuple=True)
    inside = torch.where(part, values, -torch.inf)
    row, column = divmod(int(inside.argmax()), values.shape[1])
    box = (int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
    share = float(values[part].clamp(min=0).double().sum()) / total if total > 0 else 0.0
    return Region(box, len(rows), share, (row, column))

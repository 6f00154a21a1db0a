"""Geometry: where in the picture a layer's places look, followed through the forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Unit
from captum_influence.network.cuts import Cut
from captum_influence.network.following import Grid, followed
from captum_influence.units.axes import Selector

__all__ = ["Box", "Geometry", "receptive_fields"]

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels; bottom and right lie outside."""

Pair = tuple[float, float]


@dataclass(frozen=True)
class Geometry:
    """Where the receptive fields of a layer's places are centred, in pixels of the picture.

    Place (i, j) looks at the pixels around ``(offset[0] + stride[0] * i, offset[1] + stride[1] *
    j)``; pixel (0, 0) is the centre of the upper left one. Layers without padding, or with strides
    that don't divide the picture, don't cover it evenly: enlarged as if they did, a map is shifted.

    Attributes:
        size: height and width of the picture.
        offset: the centre of place (0, 0).
        stride: from one place to the next.

    Example:
        >>> valid = torch.nn.Sequential(torch.nn.Conv2d(3, 4, kernel_size=11, stride=4))
        >>> Geometry.of(valid, torch.rand(1, 3, 31, 31), "0")
        Geometry(size=(31, 31), offset=(5.0, 5.0), stride=(4.0, 4.0))
    """

    size: tuple[int, int]
    offset: Pair
    stride: Pair

    @property
    def scale(self) -> float:
        """Standard deviation in pixels that smooths a map to what the layer can tell apart.

        The step between places, the mean of both; at least 1/16 of the picture's shorter side,
        since what pixels do by themselves is noise whatever the layer, and at most 1/8: a layer
        that sees the picture in a few places only has no scale of its own.
        """
        shorter = min(self.size)
        return min(max(sum(self.stride) / 2, shorter / 16), shorter / 8)

    @staticmethod
    def even(shape: tuple[int, int], size: tuple[int, int]) -> Geometry:
        """Return that of a layer (height, width) whose places divide the picture evenly."""
        grid = Grid.even(shape, size)
        return Geometry(size, grid.offset, grid.stride)

    @staticmethod
    def of(model: nn.Module, inputs: Tensor, layer: Cut | nn.Module | str) -> Geometry:
        """Follow one picture's places through a copy of the network, up to a layer.

        Args:
            model: the network; it isn't touched.
            inputs: (examples, channels, height, width); the first one is run.
            layer: (examples, channels, height, width).

        Raises:
            ValueError: if what happens on the way to the layer moves places about in a way that
                can't be followed (tokens, say), or the layer has none.
        """
        if inputs.ndim != 4:
            raise ValueError(
                f"expected pictures (examples, channels, height, width), got {tuple(inputs.shape)}"
            )
        grid = followed(model, inputs, layer)
        if grid is None:
            at = Cut.ensure(layer)
            raise ValueError(f"where the places of {at} look can't be followed to the picture")
        height, width = inputs.shape[2:]
        return Geometry((int(height), int(width)), grid.offset, grid.stride)

    def centre(self, row: float, column: float) -> Pair:
        """Return the pixel, (row, column), at which a place's receptive field is centred."""
        return self.offset[0] + self.stride[0] * row, self.offset[1] + self.stride[1] * column

    def scaled(self, size: tuple[int, int]) -> Geometry:
        """Return the same on the picture at another size."""
        factors = (size[0] / self.size[0], size[1] / self.size[1])
        offset = [(o + 0.5) * f - 0.5 for o, f in zip(self.offset, factors, strict=True)]
        stride = [s * f for s, f in zip(self.stride, factors, strict=True)]
        return Geometry(size, (offset[0], offset[1]), (stride[0], stride[1]))

    def enlarged(self, maps: Tensor) -> Tensor:
        """Lay maps (examples, channels, rows, columns) on the picture, each entry on its centre.

        Between centres it is bilinear; beyond the outermost ones, their values go on.
        """
        exact = maps.to(torch.promote_types(maps.dtype, torch.float32))  # half can't count pixels
        rows, columns = (
            _positions(self.size[i], self.offset[i], self.stride[i], maps.shape[2 + i], exact)
            for i in (0, 1)
        )
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
        grid = grid.expand(len(maps), -1, -1, -1)
        found = grid_sample(exact, grid, padding_mode="border", align_corners=True)
        return found.to(maps.dtype)


def _positions(pixels: int, offset: float, stride: float, places: int, like: Tensor) -> Tensor:
    """Return where pixels lie among places, from -1 for the first to 1 for the last."""
    pixel = torch.arange(pixels, dtype=like.dtype, device=like.device)
    return 2 * (pixel - offset) / (stride * max(places - 1, 1)) - 1


def receptive_fields(
    model: nn.Module, images: Tensor, cut: Cut, selector: Selector
) -> list[Box | None]:
    """Return what each picture's most active entry of a unit sees: (top, left, bottom, right).

    That is the smallest box around the pixels whose slope isn't zero: what the entry depends on in
    *this* picture, to first order. Behind max-pooling and ReLUs it may be smaller than what the
    layers' sizes allow; with attention it is usually all of the picture.

    Args:
        model: the network.
        images: (examples, channels, height, width).
        cut: the layer.
        selector: the unit's entries there; the most active one counts, or all that tie.

    Returns:
        for each picture the box, bottom and right outside; None if the unit is silent there.
    """
    measure = DistributionalInfluence(
        model,
        Cut(model, "input"),
        distribution=Point(),
        quantity=Unit(cast(Any, selector), reduce="max"),
        measure_at=cut,
    )
    slopes: Tensor = measure.attribute(images)
    return [_box(pixels) for pixels in (slopes != 0).any(dim=1)]


def _box(pixels: Tensor) -> Box | None:
    rows, columns = pixels.nonzero(as_tuple=True)
    if not len(rows):
        return None
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1

"""Receptive fields: which pixels a unit's most active entry depends on."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from captum_influence.attr import Cut, DistributionalInfluence, Point, Unit
from captum_influence.explain.axes import Selector

__all__ = ["Box", "receptive_fields"]

Box = tuple[int, int, int, int]


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

"""What a unit looks at, ready for a page: its map, what that lights, and the part cut out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence.reports.page import number
from captum_influence.reports.parts import data_uri, embedded, is_smooth
from captum_influence.units.exemplars import Look
from captum_influence.units.interpreted import Example, InterpretedUnit
from captum_influence.units.regions import Region
from captum_influence.visualization import maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Glance",
    "Shown",
    "best_crop",
    "example_rows",
    "glances",
    "in_words",
    "joint_limit",
    "mask_figure",
    "shown",
]


@dataclass(frozen=True, eq=False)
class Shown:
    """One unit in one picture; pictures are data URIs."""

    heat: str
    limit: float
    mask: str
    crop: str | None
    region: Region | None
    masked_share: float


def shown(
    row: InterpretedUnit, picture: Tensor, *, dpi: int = 120, limit: float | None = None
) -> Shown:
    """Draw a unit's map over a picture (3, height, width), the mask, and the crop.

    Args:
        row: the unit.
        picture: in which it was seen.
        dpi: 120 makes 480 pixels of the longer side.
        limit: where the scale of the map ends; None: where its own does.
    """
    smooth = is_smooth(picture)
    limit = maps.limit(row.heat) if limit is None else limit
    return Shown(
        data_uri(maps.heat_map(row.heat, picture, unit=None, end=limit), dpi),
        limit,
        data_uri(maps.mask_outline(row.mask, picture, box=row.box), dpi),
        None if row.crop is None else embedded(row.crop, dpi, smooth=smooth),
        row.regions[0] if row.regions else None,
        row.masked_share,
    )


_DPI = 75  # 300 pixels of the longer side


@dataclass(frozen=True, eq=False)
class Glance:
    """One unit in one picture out of a loader."""

    shown: Shown
    number: int
    caption: str


def joint_limit(looks: Sequence[Look]) -> float:
    """Return where one scale for several maps ends."""
    return maps.limit(
        torch.cat([torch.zeros(1), *(look.seen.heat.flatten().float() for look in looks)])
    )


def glances(looks: Sequence[Look], end: float, words: Callable[[Look], str]) -> list[Glance]:
    """Return what to show of one unit in several pictures, with a caption for each."""
    return [
        Glance(
            shown(look.seen, look.example.image, dpi=_DPI, limit=end),
            look.example.number,
            words(look),
        )
        for look in looks
    ]


def best_crop(looks: Sequence[Look]) -> str | None:
    """Return the first picture's strongest region, as a data URI."""
    for look in looks:
        if look.seen.crop is not None:
            return embedded(look.seen.crop, 60, smooth=is_smooth(look.example.image))
    return None


def example_rows(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return pictures with their labels and values."""
    return [
        {
            "image": embedded(example.image, 40, smooth=is_smooth(example.image)),
            "number": example.number,
            "label": example.label_name,
            "value": example.value,
        }
        for example in examples
    ]


def mask_figure(look: Look) -> Figure:
    """Draw the picture with what the unit responds to lit."""
    return maps.mask_outline(look.seen.mask, look.example.image, box=look.seen.box)


def in_words(look: Look) -> str:
    """Say whose picture it is, and what the unit does there."""
    return f"{look.example.label_name}, {number(look.example.value)}"

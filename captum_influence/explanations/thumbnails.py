"""What a unit looks at, ready for a page: its map, what that lights, and the part cut out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from captum_influence.reports.parts import data_uri, embedded, is_smooth
from captum_influence.units.exemplars import Look
from captum_influence.units.interpreted import Example
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.visualization import maps
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Glance",
    "best_crop",
    "glances",
    "in_words",
    "joint_limit",
    "mask_figure",
    "thumbnail",
]


_DPI = 75  # 300 pixels of the longer side


@dataclass(frozen=True, eq=False)
class Glance:
    """One unit in one picture out of a loader: its map and what that lights, as data URIs."""

    heat: str
    mask: str
    number: int
    caption: str


def joint_limit(looks: Sequence[Look]) -> float:
    """Return where one scale for several maps ends."""
    return maps.limit(
        torch.cat([torch.zeros(1), *(look.seen.heat.flatten().float() for look in looks)])
    )


def glances(looks: Sequence[Look], end: float, words: Callable[[Look], str]) -> list[Glance]:
    """Return what to show of one unit in several pictures, on one scale, each with a caption."""
    return [
        Glance(
            data_uri(maps.heat_map(look.seen.heat, look.example.image, unit=None, end=end), _DPI),
            data_uri(mask_figure(look), _DPI),
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


def thumbnail(example: Example) -> dict[str, Any]:
    """Return what a page shows of an example: its label and value, and itself.

    Of a picture that is a small one and what the unit sees of it, else a fragment of a page.
    """
    told = {
        "number": example.number,
        "label": example.label_name,
        "value": example.value,
        "told": "",
    }
    if not isinstance(example.display, PictureDisplay):
        return {**told, "image": None, "crop": None, "fragment": example.display.fragment()}
    smooth = is_smooth(example.image)
    return {
        **told,
        "image": embedded(example.image, 40, smooth=smooth),
        "crop": None if example.crop is None else embedded(example.crop, 40, smooth=smooth),
        "fragment": None,
    }


def mask_figure(look: Look) -> Figure:
    """Draw the picture with what the unit responds to lit."""
    return maps.mask_outline(look.seen.mask, look.example.image, box=look.seen.box)


def in_words(look: Look) -> str:
    """Say whose picture it is, and what the unit does there."""
    return f"{look.example.label_name}, {number(look.example.value)}"

"""What a unit looks at, ready for a page: its map, what that lights, and the part cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence.reports.parts import data_uri, embedded, is_smooth
from captum_influence.units.exemplars import Look
from captum_influence.units.interpreted import Example
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.units.shown.texts import TextHighlight
from captum_influence.visualization import maps
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Glance",
    "Part",
    "best_part",
    "glances",
    "in_words",
    "joint_limit",
    "look_figures",
    "mask_figure",
    "pictured",
    "thumbnail",
]


_DPI = 75  # 300 pixels of the longer side


@dataclass(frozen=True, eq=False)
class Glance:
    """One unit in one picture out of a loader: its map and what that lights, as data URIs.

    Of a text it is a fragment of a page.
    """

    number: int
    caption: str
    heat: str = ""
    mask: str = ""
    fragment: str | None = None


@dataclass(frozen=True)
class Part:
    """What a unit looks at most: a cut out of a picture, as a data URI, or a token of a text."""

    image: str | None = None
    text: str = ""


def joint_limit(looks: Sequence[Look]) -> float:
    """Return where one scale for several maps ends."""
    return maps.limit(
        torch.cat([torch.zeros(1), *(look.seen.heat.flatten().float() for look in looks)])
    )


def glances(looks: Sequence[Look], end: float, words: Callable[[Look], str]) -> list[Glance]:
    """Return what to show of one unit in several pictures, on one scale, each with a caption."""
    return [_glance(look, end, words(look)) for look in looks]


def _glance(look: Look, end: float, words: str) -> Glance:
    number, line = look.example.number, look.seen.seen.glance(end)
    if line is not None:
        return Glance(number, words, fragment=line)
    heat = maps.heat_map(look.seen.heat, look.example.image, unit=None, end=end)
    mask = data_uri(mask_figure(look), _DPI)
    return Glance(number, words, heat=data_uri(heat, _DPI), mask=mask)


def best_part(looks: Sequence[Look]) -> Part | None:
    """Return the first picture's strongest region, or the first text's strongest token."""
    for look in looks:
        seen = look.seen.seen
        if isinstance(seen, TextHighlight):
            if seen.first:
                return Part(text=seen.first)
        elif look.seen.crop is not None:
            smooth = is_smooth(look.example.image)
            return Part(embedded(look.seen.crop, 60, smooth=smooth))
    return None


def pictured(looks: Sequence[Look]) -> list[tuple[Tensor, Tensor]]:
    """Return the maps and pictures that a figure shows side by side; none of texts."""
    displays = [(look, look.example.display) for look in looks]
    return [(k.seen.heat, d.picture) for k, d in displays if isinstance(d, PictureDisplay)]


def look_figures(look: Look, measure: str) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of one look with their names."""
    if isinstance(look.example.display, PictureDisplay):
        yield "mask", mask_figure(look)
    else:
        yield from look.seen.seen.figures(measure)


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
        return {**told, "image": None, "crop": None, "fragment": example.display.glance()}
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

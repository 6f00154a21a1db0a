"""A unit in several pictures, small and on one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from captum_influence import visualization
from captum_influence.explain import Example, Look
from captum_influence.reports.embedding import embedded, is_smooth
from captum_influence.reports.looks import Shown, shown
from captum_influence.reports.page import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Glance",
    "best_crop",
    "example_rows",
    "glances",
    "in_words",
    "joint_limit",
    "mask_figure",
]

_DPI = 75  # 300 pixels of the longer side


@dataclass(frozen=True, eq=False)
class Glance:
    """One unit in one picture out of a loader."""

    shown: Shown
    number: int
    caption: str


def joint_limit(looks: Sequence[Look]) -> float:
    """Return where one scale for several maps ends."""
    return visualization.limit(
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
    return visualization.mask_outline(look.seen.mask, look.example.image, box=look.seen.box)


def in_words(look: Look) -> str:
    """Say whose picture it is, and what the unit does there."""
    return f"{look.example.label_name}, {number(look.example.value)}"

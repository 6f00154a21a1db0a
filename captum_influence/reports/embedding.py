"""Pictures, maps and charts as data URIs: what a page shows without loading anything."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from captum_influence import visualization
from captum_influence.visualization import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Chart", "chart", "data_uri", "embedded", "is_smooth"]

_PHOTO = 128  # pixels from which an enlarged picture is smoothed


@dataclass(frozen=True)
class Chart:
    """A figure with axes, on light and on dark paper, and what it shows in words."""

    light: str
    dark: str
    alt: str


def chart(draw: Callable[[Theme], Figure], alt: str, dpi: int = 120) -> Chart:
    """Draw a figure for both kinds of paper."""
    light, dark = (data_uri(draw(theme), dpi) for theme in (LIGHT, DARK))
    return Chart(light, dark, alt)


def embedded(picture: Tensor, dpi: int = 60, *, smooth: bool | None = None) -> str:
    """Return a picture (3, height, width) as a data URI."""
    return data_uri(visualization.picture_figure(picture, smooth=smooth), dpi)


def is_smooth(picture: Tensor) -> bool:
    """Say whether what is cut out of this picture is smoothed when enlarged."""
    return bool(max(picture.shape[-2:]) >= _PHOTO)


def data_uri(figure: Figure, dpi: int = 120) -> str:
    """Return a figure as a data URI."""
    return "data:image/png;base64," + base64.b64encode(visualization.png(figure, dpi)).decode()

"""Pictures, maps and charts as data URIs: what a page shows without loading anything."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from captum_influence.data.picture_files import pillow
from captum_influence.visualization import maps
from captum_influence.visualization.style import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Bar",
    "Cell",
    "Chart",
    "Tile",
    "bars",
    "chart",
    "data_uri",
    "embedded",
    "heights",
    "is_smooth",
    "jpeg_uri",
    "png_uri",
]

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
    return data_uri(maps.picture_figure(picture, smooth=smooth), dpi)


def is_smooth(picture: Tensor) -> bool:
    """Say whether what is cut out of this picture is smoothed when enlarged."""
    return bool(max(picture.shape[-2:]) >= _PHOTO)


def data_uri(figure: Figure, dpi: int = 120) -> str:
    """Return a figure as a data URI."""
    return png_uri(maps.png(figure, dpi))


def png_uri(png: bytes) -> str:
    """Return a PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def jpeg_uri(picture: Tensor) -> str:
    """Return a picture of bytes (3, height, width) as a JPEG file, the smallest for many.

    Raises:
        ImportError: if Pillow isn't installed.
    """
    stream = io.BytesIO()
    pillow().fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(stream, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


@dataclass(frozen=True)
class Bar:
    """A bar from ``left`` to ``left + width``, with zero at ``zero``, in % of the bars' range."""

    zero: float
    left: float
    width: float
    minus: bool


@dataclass(frozen=True)
class Tile:
    """A number in large type, and what it counts."""

    value: str
    words: str


@dataclass(frozen=True, eq=False)
class Cell:
    """One unit of a strip: what it looks at, and numbers that it can be shown by.

    Attributes:
        name: what it is called.
        anchor: its card's.
        words: what its picture shows.
        image: the picture, as a data URI; None: there is none.
        values: the numbers, as they are written.
        columns: the same as signed heights, in % of the highest.
        map: its map, as a page's script reads it; None: there is none.
    """

    name: str
    anchor: str
    words: str
    image: str | None
    values: Sequence[str]
    columns: Sequence[float]
    map: str | None = None


def heights(values: Sequence[float]) -> list[float]:
    """Return values in % of the largest size."""
    known = [value if value == value else 0.0 for value in values]
    end = max((abs(value) for value in known), default=0.0) or 1.0
    return [round(100 * value / end, 1) for value in known]


def bars(values: Sequence[float]) -> list[Bar]:
    """Return a bar for each value, all on the scale that holds zero and all of them."""
    known = [value if value == value else 0.0 for value in values]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = (high - low) or 1.0

    def bar(value: float) -> Bar:
        zero, end = -low / span, (value - low) / span
        left, width = min(zero, end), abs(end - zero)
        return Bar(round(100 * zero, 2), round(100 * left, 2), round(100 * width, 2), value < 0)

    return [bar(value) for value in known]

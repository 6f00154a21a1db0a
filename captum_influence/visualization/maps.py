"""Figures of plain tensors, in one visual language.

Maps have one diverging, zero-centred scale that can be read with any colour vision: orange raises,
blue lowers, nothing is drawn where nothing happens, NaN is plain grey.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from torch import Tensor

from captum_influence.visualization.numbers import signed_share
from captum_influence.visualization.style import (
    BLUE,
    DARK,
    GRADIENT,
    LIGHT,
    ORANGE,
    Theme,
    colour_map,
    coloured,
    draw_colour_bar,
    draw_heat,
    draw_picture,
    draw_title,
    empty_figure,
    is_photo,
    limit,
    pixels,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DARK",
    "GRADIENT",
    "LIGHT",
    "Theme",
    "UnitRow",
    "crop_grid",
    "drawn_as",
    "grey_code",
    "heat_layer",
    "heat_map",
    "limit",
    "mask_outline",
    "overview",
    "picture_figure",
    "png",
    "svg",
    "unit_bars",
]


@dataclass(frozen=True, eq=False)
class UnitRow:
    """What a figure shows of one unit.

    Attributes:
        name: what it is called.
        share: of the layer's total, signed.
        heat: (height, width), what each pixel does to it.
        mask: (height, width) bool.
        crop: (3, height, width) in [0, 1], or None.
        box: (top, left, bottom, right) of the crop, or None.
    """

    name: str
    share: float
    heat: Tensor
    mask: Tensor
    crop: Tensor | None = None
    box: tuple[int, int, int, int] | None = None


def picture_figure(picture: Tensor, *, smooth: bool | None = None) -> Figure:
    """Draw a picture (3, height, width) in [0, 1], and nothing else.

    Args:
        picture: a whole picture or a crop.
        smooth: whether to smooth what is enlarged; None: from 128 pixels on.
    """
    figure, axes = _bare(picture)
    draw_picture(axes, picture, smooth)
    return figure


def heat_map(
    values: Tensor,
    picture: Tensor | None = None,
    *,
    unit: str | None = "influence",
    end: float | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a map (height, width) over a picture (3, height, width), which turns grey beneath it.

    Args:
        values: what each pixel does; zero is transparent.
        picture: what lies beneath; None: the map alone.
        unit: what the colour bar measures; None: no colour bar, for use beside one.
        end: where the scale ends, to give several maps one; None: :func:`limit` of this one.
        theme: colours of text and paper.
    """
    if unit is None:
        figure, axes = _bare(values[None])
        draw_heat(axes, values, picture, end)
        return figure
    width, height = _picture_size(values[None], 4.0)
    figure = empty_figure(width, height + 0.62, theme)
    axes = figure.add_subplot()
    draw_heat(axes, values, picture, end)
    draw_colour_bar(figure, axes, end or limit(values), unit, theme)
    return figure


def mask_outline(
    mask: Tensor, picture: Tensor, *, box: tuple[int, int, int, int] | None = None
) -> Figure:
    """Draw a picture (3, height, width) with a mask (height, width) lit and outlined.

    ``box``, (top, left, bottom, right), is marked by a dashed line.
    """
    figure, axes = _bare(picture)
    _draw_mask(axes, mask, picture)
    _draw_box(axes, box)
    return figure


def crop_grid(
    crops: Sequence[Tensor],
    titles: Sequence[str] = (),
    *,
    columns: int = 5,
    smooth: bool | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw crops (3, height, width) side by side, each filling its square."""
    rows = max(1, -(-len(crops) // columns))
    across = max(1, min(len(crops), columns))
    figure = empty_figure(1.8 * across, 2.1 * rows if titles else 1.8 * rows, theme)
    for i, crop in enumerate(crops):
        axes = figure.add_subplot(rows, across, i + 1)
        draw_picture(axes, crop, smooth)
        draw_title(axes, titles[i] if i < len(titles) else "", theme)
    return figure


def unit_bars(
    names: Sequence[str],
    values: Sequence[float],
    shares: Sequence[float] = (),
    *,
    unit: str = "influence",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw what units do as horizontal bars, the first on top, with their shares beside them."""
    figure = empty_figure(6.4, 0.8 + 0.34 * max(len(names), 1), theme)
    axes = figure.add_subplot()
    finite = np.nan_to_num(np.asarray(values, dtype=float))
    colours = [ORANGE if value >= 0 else BLUE for value in finite]
    axes.barh(range(len(names)), finite, color=colours, height=0.66)
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.set_yticks(range(len(names)), list(names), parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(unit, color=theme.ink, parse_math=False)
    for i, share in enumerate(shares):
        _label_bar(axes, float(finite[i]), i, signed_share(share), theme)
    axes.margins(x=0.16)
    plain_axes(axes, theme)
    return figure


def overview(
    picture: Tensor, rows: Sequence[UnitRow], *, title: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draw a picture and, for each unit, its map, its mask and its crop, one column per unit."""
    across = len(rows) + 1
    figure = empty_figure(2.15 * across, 7.5, theme)
    grid = figure.add_gridspec(3, across)
    first = figure.add_subplot(grid[0, 0])
    draw_picture(first, picture)
    draw_title(first, "the picture\n", theme)
    for column, row in enumerate(rows, start=1):
        axes = [figure.add_subplot(grid[line, column]) for line in range(3)]
        draw_heat(axes[0], row.heat, picture)
        draw_title(axes[0], f"{row.name}\n{signed_share(row.share)}", theme)
        _draw_mask(axes[1], row.mask, picture)
        _draw_box(axes[1], row.box)
        _draw_crop(axes[2], row.crop, theme, smooth=is_photo(picture))
    _draw_key(figure.add_subplot(grid[1, 0]), theme)
    _draw_caption(figure.add_subplot(grid[2, 0]), "the strongest\nregion, enlarged", theme)
    if title:
        figure.suptitle(
            textwrap.fill(title, max(22 * across, 30)),
            color=theme.ink,
            fontsize=11,
            parse_math=False,
        )
    return figure


def drawn_as(figure: Figure, ending: str) -> bytes:
    """Return a figure as the bytes of a file of this ending, such as ``"svg"`` or ``"pdf"``.

    Raises:
        ValueError: if Matplotlib draws no such file.
    """
    if ending == "png":
        return png(figure)
    stream = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}  # the same bytes each time
    figure.savefig(stream, format=ending, metadata=undated.get(ending))
    return stream.getvalue()


def png(figure: Figure, dpi: int = 144) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def svg(figure: Figure) -> bytes:
    """Return a figure as the bytes of an SVG file, the same each time."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "captum_influence"}):  # else ids are drawn
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def heat_layer(values: Tensor) -> bytes:
    """Return a map (height, width) as a PNG to lay over a picture: transparent at zero."""
    return _png_of((255 * coloured(values)).round().astype(np.uint8))


def grey_code(values: Tensor) -> bytes:
    """Return a map (height, width) as the greys of a PNG: 128 is zero, 1 and 255 are its ends."""
    known = np.nan_to_num(values.detach().double().cpu().numpy(), posinf=0.0, neginf=0.0)
    greys = 128 + 127 * np.clip(known / limit(values), -1, 1)
    return _png_of(greys.round().astype(np.uint8))


def _png_of(array: np.ndarray) -> bytes:
    from PIL import Image  # comes with Matplotlib, which writes all other figures

    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="png", optimize=True)
    return stream.getvalue()


def _bare(picture: Tensor) -> tuple[Figure, Axes]:
    """Return a figure that one picture fills to the edge."""
    figure = empty_figure(*_picture_size(picture, 4.0), LIGHT)
    figure.set_layout_engine("none")
    return figure, figure.add_axes((0.0, 0.0, 1.0, 1.0))


def _picture_size(picture: Tensor, longer: float) -> tuple[float, float]:
    """Return width and height in inches, the longer of them as given, none below a quarter."""
    height, width = picture.shape[-2:]
    scale = longer / max(height, width)
    return max(width * scale, longer / 4), max(height * scale, longer / 4)


def _draw_mask(axes: Axes, mask: Tensor, picture: Tensor) -> None:
    shown, inside = pixels(picture), mask.cpu().numpy().astype(bool)
    lit = np.where(inside[..., None], shown, 0.35 * shown + 0.12)
    axes.imshow(lit, interpolation="nearest")
    if inside.any():
        _outline(axes, inside)
    axes.set_xlim(-0.5, inside.shape[1] - 0.5)
    axes.set_ylim(inside.shape[0] - 0.5, -0.5)
    axes.set_axis_off()


def _outline(axes: Axes, inside: np.ndarray) -> None:
    """Draw the border of a mask, white on black, to be seen on any picture."""
    height, width = inside.shape
    columns, rows = np.arange(-1, width + 1), np.arange(-1, height + 1)
    padded = np.pad(inside, 1).astype(float)
    for colour, line in (("#000000", 2.8), ("#ffffff", 1.3)):
        axes.contour(columns, rows, padded, levels=[0.5], colors=colour, linewidths=line)


def _draw_box(axes: Axes, box: tuple[int, int, int, int] | None) -> None:
    from matplotlib.patches import Rectangle

    if box is None:
        return
    top, left, bottom, right = box
    corner, width, height = (left - 0.5, top - 0.5), right - left, bottom - top
    for colour, line in (("#000000", 2.4), ("#ffffff", 1.0)):
        frame = Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=line)
        frame.set_linestyle("--")
        axes.add_patch(frame)


def _draw_crop(axes: Axes, crop: Tensor | None, theme: Theme, *, smooth: bool) -> None:
    if crop is None:
        _draw_caption(axes, "nothing\nactivates it here", theme)
    else:
        draw_picture(axes, crop, smooth)


def _label_bar(axes: Axes, value: float, row: int, text: str, theme: Theme) -> None:
    side = 1 if value >= 0 else -1
    axes.annotate(
        text,
        (value, row),
        xytext=(4 * side, 0),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="center",
        color=theme.ink,
        fontsize=9,
    )


def _draw_caption(axes: Axes, text: str, theme: Theme) -> None:
    axes.text(0.5, 0.5, text, color=theme.ink, fontsize=9, ha="center", va="center")
    axes.set_axis_off()


def _draw_key(axes: Axes, theme: Theme) -> None:
    """Say what the colours and the lit pixels of the other columns mean."""
    strip = np.linspace(0, 1, 128)[None]
    axes.imshow(strip, cmap=colour_map(), aspect="auto", extent=(0.1, 0.9, 0.78, 0.84))
    style: dict[str, Any] = {"color": theme.ink, "fontsize": 9}
    axes.text(0.5, 0.87, "what each pixel does", ha="center", **style)
    axes.text(0.1, 0.75, "lowers", va="top", **style)
    axes.text(0.9, 0.75, "raises", va="top", ha="right", **style)
    axes.text(0.5, 0.4, "lit: the pixels\nthat raise it most", ha="center", **style)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()

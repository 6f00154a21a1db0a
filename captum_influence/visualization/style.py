"""What all figures share: colours, themes, and how pictures, titles and axes are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = [
    "BLUE",
    "DARK",
    "GRADIENT",
    "GRID",
    "LIGHT",
    "ORANGE",
    "PALETTE",
    "Sheet",
    "Theme",
    "colour_map",
    "coloured",
    "draw_colour_bar",
    "draw_heat",
    "draw_picture",
    "draw_title",
    "empty_figure",
    "is_photo",
    "limit",
    "pixels",
    "plain_axes",
]

BLUE, ORANGE = "#2166ac", "#d95f02"
GRID = "#8a8f98"

PALETTE = (ORANGE, BLUE, "#009e73", "#cc79a7", "#e6a100", "#56b4e9")
"""Colours of lines, told apart with any colour vision (Okabe and Ito)."""

GRADIENT = ("#08306b", "#2171b5", "#6baed6", "#f2f2f2", "#fdae6b", "#e6550d", "#8c2d04")
"""The colours of the scale at equal steps from -limit to limit."""


@dataclass(frozen=True)
class Theme:
    """Colours of what isn't data: ``ink`` for lines and text, ``paper`` behind them."""

    ink: str
    paper: str


LIGHT = Theme("#1c2128", "#ffffff")


DARK = Theme("#e6e8eb", "#14171b")


def colour_map() -> Colormap:
    """Return the diverging colour map: blue lowers, orange raises, light grey in the middle."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("blue_orange", GRADIENT)
    return colours.with_extremes(bad="#7d7d7d")


def empty_figure(width: float, height: float, theme: Theme) -> Figure:
    """Return a figure of this size in inches, with no global state behind it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Sheet(figsize=(width, height), layout="constrained", facecolor=theme.paper)
    FigureCanvasAgg(figure)
    return figure


def pixels(picture: Tensor) -> np.ndarray:
    """Return a picture (3, height, width) as (height, width, 3), clipped to [0, 1]."""
    array = np.moveaxis(picture.detach().float().cpu().numpy(), 0, -1)
    return np.asarray(np.clip(np.nan_to_num(array), 0, 1))


def is_photo(picture: Tensor) -> bool:
    """Return whether a picture is large enough to be smoothed when it is enlarged."""
    return max(picture.shape[-2:]) >= 128


def draw_picture(axes: Axes, picture: Tensor, smooth: bool | None = None) -> None:
    """Draw a picture without axes."""
    smooth = is_photo(picture) if smooth is None else smooth
    axes.imshow(pixels(picture), interpolation="bicubic" if smooth else "nearest")
    axes.set_axis_off()


def draw_title(axes: Axes, title: str, theme: Theme) -> None:
    """Write a title, if there is one, as it stands: nothing in it is read as a formula."""
    if title:
        axes.set_title(title, color=theme.ink, fontsize=10, parse_math=False)


def plain_axes(axes: Axes, theme: Theme) -> None:
    """Leave of the axes what is needed to read numbers off."""
    axes.set_facecolor(theme.paper)
    axes.tick_params(colors=theme.ink, length=0)
    axes.grid(axis="x", color=GRID, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def limit(values: Tensor) -> float:
    """Return where the scale of a map ends: the 99.5th percentile of its sizes, 1 if all are 0.

    Not the maximum, so that one pixel can't make all others invisible.
    """
    sizes = np.abs(_finite(values))
    return float(np.percentile(sizes, 99.5, method="higher")) or float(sizes.max()) or 1.0


def draw_heat(axes: Axes, values: Tensor, picture: Tensor | None, end: float | None = None) -> None:
    """Draw a map (height, width): opacity grows with size, so that zero leaves the picture."""
    array: np.ndarray = values.detach().double().cpu().numpy()
    colours = coloured(values, end)
    if picture is None:
        colours[..., 3] = 1.0
    else:
        grey = pixels(picture).mean(axis=2, keepdims=True).repeat(3, axis=2)
        axes.imshow(0.3 + 0.6 * grey, interpolation="nearest", extent=_extent(array))
    axes.imshow(colours, interpolation="nearest", extent=_extent(array))
    axes.set_axis_off()


def coloured(values: Tensor, end: float | None = None) -> np.ndarray:
    """Return a map (height, width) as (height, width, 4): transparent at zero, grey where NaN."""
    unknown = ~np.isfinite(values.detach().double().cpu().numpy())
    scaled = np.clip(_finite(values) / (end or limit(values)), -1, 1)
    colours: np.ndarray = colour_map()(np.ma.masked_array(0.5 + 0.5 * scaled, mask=unknown))
    colours[..., 3] = np.where(unknown, 1.0, np.clip(1.6 * np.abs(scaled), 0, 1) ** 1.3)
    return colours


def draw_colour_bar(
    figure: Figure, axes: Axes | list[Axes], end: float, unit: str, theme: Theme
) -> None:
    """Say beside axes what the colours measure, from -end to end."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(
        ScalarMappable(Normalize(-end, end), colour_map()),
        ax=axes,
        orientation="horizontal",
        extend="both",
        fraction=0.05,
        pad=0.02,
        aspect=34,
    )
    bar.set_label(unit, color=theme.ink, fontsize=9, parse_math=False)
    bar.outline.set_edgecolor(GRID)
    bar.ax.tick_params(colors=theme.ink, labelsize=8)
    bar.locator = MaxNLocator(nbins=5, symmetric=True)
    bar.update_ticks()


def _finite(values: Tensor) -> np.ndarray:
    array = values.detach().double().cpu().numpy()
    return np.asarray(np.nan_to_num(array, posinf=0.0, neginf=0.0))


def _extent(array: np.ndarray) -> tuple[float, float, float, float]:
    height, width = array.shape[:2]
    return (-0.5, width - 0.5, height - 0.5, -0.5)


class Sheet(Figure):
    """A figure that isn't pyplot's, so that nothing global keeps it, and that shows all the same.

    IPython learns how to show figures only when pyplot is first used; without that, a notebook
    would print a line of text. Where it has learned it, its own way is taken.
    """

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()

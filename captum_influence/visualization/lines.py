"""Figures of lines and of bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from captum_influence.visualization.style import (
    BLUE,
    GRID,
    LIGHT,
    PALETTE,
    Theme,
    draw_title,
    empty_figure,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bar_figure", "line_figure"]


def line_figure(
    x: Sequence[float],
    lines: Mapping[str, Tensor],
    *,
    xlabel: str,
    ylabel: str,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw lines over one axis; those whose name starts with "random" are grey."""
    figure = empty_figure(5.4, 3.6, theme)
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(lines.items()):
        colour = GRID if name.startswith("random") else PALETTE[number % len(PALETTE)]
        style = ("-", "--", ":")[number // len(PALETTE) % 3]
        axes.plot(x, values.tolist(), label=name, color=colour, linestyle=style, marker=".")
    axes.set_xlabel(xlabel, color=theme.ink)
    axes.set_ylabel(ylabel, color=theme.ink)
    plain_axes(axes, theme)
    if len(lines) > 1:  # a single one is named by its axis
        look = {"frameon": False, "fontsize": 8.5, "labelcolor": theme.ink}
        figure.legend(loc="outside upper center", ncols=2 if len(lines) < 5 else 3, **look)
    return figure


def bar_figure(values: Mapping[str, float], *, title: str, theme: Theme = LIGHT) -> Figure:
    """Draw one horizontal bar per name; a NaN is an empty one."""
    figure = empty_figure(5.4, 0.9 + 0.34 * max(len(values), 1), theme)
    axes = figure.add_subplot()
    sizes = [0.0 if value != value else value for value in values.values()]
    axes.barh(range(len(sizes)), sizes, color=BLUE, height=0.66)
    axes.set_yticks(range(len(sizes)), list(values), parse_math=False)
    axes.invert_yaxis()
    draw_title(axes, title, theme)
    plain_axes(axes, theme)
    return figure

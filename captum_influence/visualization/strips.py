"""Figures of units over many pictures: a bar for each, and what it looks at in some of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from captum_influence.visualization.style import (
    BLUE,
    LIGHT,
    ORANGE,
    Theme,
    draw_colour_bar,
    draw_heat,
    draw_picture,
    draw_title,
    empty_figure,
    limit,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Strip", "error_bars", "strips_figure"]


@dataclass(frozen=True, eq=False)
class Strip:
    """What a figure shows of one unit.

    Attributes:
        name: what it is called.
        value: its mean over pictures.
        error: the standard error of that; NaN if it isn't known.
        looks: pairs of a map (height, width) and the picture (3, height, width) beneath it.
    """

    name: str
    value: float
    error: float
    looks: Sequence[tuple[Tensor, Tensor]] = ()


def error_bars(
    strips: Sequence[Strip], *, unit: str = "mean contribution", theme: Theme = LIGHT
) -> Figure:
    """Draw units as horizontal bars with their standard errors, the first on top."""
    figure = empty_figure(6.4, 0.8 + 0.34 * max(len(strips), 1), theme)
    _draw_bars(figure.add_subplot(), strips, unit, theme)
    return figure


def strips_figure(
    strips: Sequence[Strip],
    prototype: Tensor | None = None,
    *,
    title: str = "",
    unit: str = "mean contribution",
    measure: str = "contribution of each pixel",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a row for each unit: its bar, then its maps; one scale for all maps.

    Args:
        strips: the units, the first one on top.
        prototype: a picture (3, height, width) to lay beside them.
        title: above all.
        unit: what the bars measure.
        measure: what the maps measure.
        theme: colours of text and paper.
    """
    across = max([len(strip.looks) for strip in strips], default=0)
    rows, columns = max(len(strips), 1), 1 + across + (prototype is not None)
    figure = empty_figure(3.4 + 1.5 * (columns - 1), 1.4 + 1.45 * rows, theme)
    grid = figure.add_gridspec(rows, columns, width_ratios=[2.0] + [1.0] * (columns - 1))
    bars = figure.add_subplot(grid[:, 0])
    _draw_bars(bars, strips, unit, theme)
    bars.set_ylim(rows - 0.5, -0.5)
    end = limit(torch.cat([torch.zeros(1), *(h.flatten() for s in strips for h, _ in s.looks)]))
    drawn = []
    for row, strip in enumerate(strips):
        for column, (heat, picture) in enumerate(strip.looks, start=1):
            drawn.append(figure.add_subplot(grid[row, column]))
            draw_heat(drawn[-1], heat, picture, end)
    if prototype is not None:
        axes = figure.add_subplot(grid[0, columns - 1])
        draw_picture(axes, prototype)
        draw_title(axes, "prototype", theme)
    if drawn:
        draw_colour_bar(figure, drawn, end, measure, theme)
    if title:
        text = textwrap.fill(title, 22 + 17 * columns)
        figure.suptitle(text, color=theme.ink, fontsize=11, parse_math=False)
    return figure


def _draw_bars(axes: Axes, strips: Sequence[Strip], unit: str, theme: Theme) -> None:
    values = np.nan_to_num(np.asarray([strip.value for strip in strips], dtype=float))
    errors = np.nan_to_num(np.asarray([strip.error for strip in strips], dtype=float))
    colours = [ORANGE if value >= 0 else BLUE for value in values]
    axes.barh(range(len(strips)), values, color=colours, height=0.5)
    axes.errorbar(
        values,
        range(len(strips)),
        xerr=errors,
        fmt="none",
        ecolor=theme.ink,
        capsize=2.5,
        elinewidth=1.3,
    )
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.set_yticks(range(len(strips)), [strip.name for strip in strips], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(textwrap.fill(unit, 36), color=theme.ink, parse_math=False)
    axes.margins(x=0.08)
    plain_axes(axes, theme)

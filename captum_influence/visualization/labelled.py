"""Grids whose rows and columns have names: tokens by layers, layers by heads."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from captum_influence.visualization.style import (
    GRID,
    LIGHT,
    Theme,
    colour_map,
    draw_colour_bar,
    draw_title,
    empty_figure,
    limit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Grid", "grids_figure"]

_NAMED = 48  # columns up to which each has its name


@dataclass(frozen=True, eq=False, kw_only=True)
class Grid:
    """Values (rows, columns), NaN where there is none, and what rows and columns are called."""

    values: Tensor
    rows: Sequence[str]
    columns: Sequence[str]
    title: str = ""


def grids_figure(
    grids: Sequence[Grid], *, title: str = "", unit: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draw grids side by side on one scale; orange raises, blue lowers, grey is zero.

    Args:
        grids: the first one on the left.
        title: above all.
        unit: what the colours measure.
        theme: colours of text and paper.
    """
    widths = [1.6 + 0.34 * len(grid.columns) for grid in grids]
    tall = max(len(grid.rows) for grid in grids)
    figure = empty_figure(max(7.0, sum(widths)), 2.6 + 0.24 * tall, theme)
    places = figure.add_gridspec(1, len(grids), width_ratios=widths)
    end = limit(torch.cat([grid.values.flatten() for grid in grids]))
    drawn = []
    for place, grid in enumerate(grids):
        drawn.append(figure.add_subplot(places[0, place]))
        _draw_grid(drawn[-1], grid, end, theme)
    draw_colour_bar(figure, drawn, end, unit, theme)
    if title:
        text = textwrap.fill(title, int(11 * max(7.0, sum(widths))))
        figure.suptitle(text, color=theme.ink, fontsize=10, parse_math=False)
    return figure


def _draw_grid(axes: Axes, grid: Grid, end: float, theme: Theme) -> None:
    axes.imshow(
        grid.values.detach().double().cpu().numpy(),
        cmap=colour_map(),
        vmin=-end,
        vmax=end,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_yticks(range(len(grid.rows)), list(grid.rows), parse_math=False)
    if len(grid.columns) <= _NAMED:
        axes.set_xticks(range(len(grid.columns)), list(grid.columns), parse_math=False)
        turned = max(map(len, grid.columns)) > 3
        axes.tick_params(axis="x", labelrotation=60 if turned else 0)
    axes.tick_params(colors=theme.ink, length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set(color=GRID, linewidth=0.6)
    draw_title(axes, grid.title, theme)

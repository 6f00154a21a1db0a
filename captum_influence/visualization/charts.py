"""Figures of what happens when units are kept, removed or driven, in the same visual language."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from captum_influence.visualization.style import (
    BLUE,
    GRID,
    LIGHT,
    ORANGE,
    PALETTE,
    Theme,
    draw_picture,
    draw_title,
    empty_figure,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Flip",
    "curve_panels",
    "flip_figure",
    "history_figure",
    "margin_figure",
    "prototype_figure",
]

Style = dict[str, Any]

_STYLES = tuple(zip(PALETTE, "os^DvP", strict=True))  # told apart without colour, too


def curve_panels(
    ks: Sequence[int],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    whole: Mapping[str, float],
    *,
    title: str = "",
    xlabel: str = "units",
    first_style: int = 0,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw one panel per score, one curve per ranking, against the number of units.

    Args:
        ks: numbers of units, along a logarithmic axis.
        panels: score -> ranking -> one value for each k; the ranking "random" is drawn in grey.
        whole: score -> its value on the untouched network, a dashed line.
        title: above all panels.
        xlabel: what is counted.
        first_style: which colour and mark the first curve has: 0 is orange, 1 is blue.
        theme: colours of text and paper.
    """
    from matplotlib.lines import Line2D

    across = min(7, 3 * len(panels))
    entries = max((len(curves) for curves in panels.values()), default=0) + bool(whole)
    height = 3.1 + 0.25 * math.ceil(entries / max(across, 1))  # with the rows of the legend
    figure = empty_figure(2.9 * len(panels) + (0.4 if len(panels) > 1 else 1.2), height, theme)
    for place, (score, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), place + 1)
        _draw_curves(axes, ks, curves, first_style)
        if score in whole:
            axes.axhline(whole[score], color=theme.ink, linestyle="--", linewidth=0.9)
        axes.set_ylim(-0.03, 1.03)
        _log_axis(axes, ks, xlabel, theme)
        draw_title(axes, score, theme)
        plain_axes(axes, theme)
    if figure.axes:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        if whole:
            handles.append(Line2D([], [], color=theme.ink, linestyle="--", linewidth=0.9))
            labels.append("whole network")
        _legend(figure, handles, labels, theme, across)
    _heading(figure, title, 110, theme)
    return figure


@dataclass(frozen=True, eq=False)
class Flip:
    """What a figure shows of an answer that units were removed from.

    Attributes:
        names: of the removed units, in the order of removal.
        values: what each did to the comparative quantity.
        margins: score(predicted) − score(true) after 0, 1, 2, ... removals.
        controls: the same after removing as many random units, (sets,).
        quantity: the comparative quantity in words.
        measure: what the values are.
    """

    names: Sequence[str]
    values: Sequence[float]
    margins: Sequence[float]
    controls: np.ndarray
    quantity: str
    measure: str = "contribution"


def flip_figure(
    picture: Tensor | None, flip: Flip, *, title: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draw a picture if there is one, the removed units, and the wrong answer's margin."""
    widths = (1.15, 1.35) if picture is None else (1.0, 1.15, 1.35)
    figure = empty_figure(3.0 * sum(widths), 3.7, theme)
    grid = figure.add_gridspec(1, len(widths), width_ratios=widths)
    if picture is not None:
        draw_picture(figure.add_subplot(grid[0, 0]), picture)
    bars = figure.add_subplot(grid[0, -2])
    colours = [ORANGE if value >= 0 else BLUE for value in flip.values]
    bars.barh(range(len(flip.values)), np.nan_to_num(flip.values), color=colours, height=0.66)
    bars.set_yticks(range(len(flip.names)), list(flip.names), parse_math=False)
    bars.set_ylim(max(len(flip.names), 6) - 0.4, -0.6)
    bars.set_xlabel(flip.measure, color=theme.ink)
    draw_title(bars, "removed units", theme)
    plain_axes(bars, theme)
    _draw_margins(figure.add_subplot(grid[0, -1]), flip, theme)
    _heading(figure, title, round(30 * sum(widths)), theme)
    return figure


def margin_figure(flip: Flip, *, theme: Theme = LIGHT) -> Figure:
    """Draw the margin of the wrong answer as units go, and what as many random ones do."""
    figure = empty_figure(4.6, 3.3, theme)
    _draw_margins(figure.add_subplot(), flip, theme)
    return figure


def prototype_figure(
    picture: Tensor, history: Sequence[float], *, title: str = "", theme: Theme = LIGHT
) -> Figure:
    """Draw a prototype (3, height, width) and how the objective rose to it."""
    figure = empty_figure(7.4, 3.9, theme)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.15, 1.0))
    draw_picture(figure.add_subplot(grid[0, 0]), picture)
    _draw_history(figure.add_subplot(grid[0, 1]), history, "objective", theme)
    _heading(figure, title, 72, theme)
    return figure


def history_figure(history: Sequence[float], quantity: str, *, theme: Theme = LIGHT) -> Figure:
    """Draw a quantity at each step."""
    figure = empty_figure(4.6, 3.3, theme)
    _draw_history(figure.add_subplot(), history, quantity, theme)
    return figure


def _draw_history(axes: Axes, history: Sequence[float], title: str, theme: Theme) -> None:
    axes.plot(range(1, len(history) + 1), history, color=ORANGE, linewidth=1.6)
    axes.set_xlabel("step", color=theme.ink)
    draw_title(axes, title, theme)
    plain_axes(axes, theme)
    axes.grid(axis="y", color=GRID, alpha=0.3, linewidth=0.6)


def _draw_curves(
    axes: Axes, ks: Sequence[int], curves: Mapping[str, Sequence[float]], first: int
) -> None:
    styles = islice(cycle(_STYLES), first, None)
    for name, values in curves.items():
        colour, mark = (GRID, "x") if name == "random" else next(styles)
        style: Style = {"color": colour, "marker": mark, "markersize": 4, "linewidth": 1.5}
        axes.plot(ks, values, label=name, alpha=0.9, **style)


def _log_axis(axes: Axes, ks: Sequence[int], label: str, theme: Theme) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    shown = [k for k in ks if k & (k - 1) == 0 or k == ks[-1]]
    axes.set_xticks(shown, [str(k) for k in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label, color=theme.ink)
    axes.grid(axis="y", color=GRID, alpha=0.3, linewidth=0.6)


def _draw_margins(axes: Axes, flip: Flip, theme: Theme) -> None:
    steps = range(len(flip.margins))
    if flip.controls.size:
        spread = np.linspace(-0.12, 0.12, flip.controls.size)
        dots: Style = {"marker": ".", "linestyle": "none", "markersize": 6, "alpha": 0.7}
        axes.plot(steps[-1] + spread, flip.controls, color=GRID, label="random units", **dots)
    marks: Style = {"marker": "o", "markersize": 4, "linewidth": 1.8}
    axes.plot(steps, flip.margins, color=ORANGE, label="these units", **marks)
    axes.axhline(0, color=theme.ink, linewidth=0.9)
    axes.set_xlabel("units removed", color=theme.ink)
    axes.locator_params(axis="x", integer=True)
    draw_title(axes, textwrap.fill(flip.quantity, 44), theme)
    plain_axes(axes, theme)
    axes.grid(axis="y", color=GRID, alpha=0.3, linewidth=0.6)
    legend = axes.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink)
    legend.set_zorder(1)


def _legend(
    figure: Figure,
    handles: Sequence[Artist],
    labels: Sequence[str],
    theme: Theme,
    columns: int,
) -> None:
    legend = figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=max(1, min(len(labels), columns)),
        frameon=False,
        labelcolor=theme.ink,
        fontsize=9,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _heading(figure: Figure, title: str, width: int, theme: Theme) -> None:
    if title:
        text = textwrap.fill(title, width)
        figure.suptitle(text, color=theme.ink, fontsize=11, parse_math=False)

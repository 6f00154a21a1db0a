"""Figures of series: lines over steps, and what each step does, behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from captum_influence.visualization.numbers import share
from captum_influence.visualization.style import (
    LIGHT,
    Theme,
    colour_map,
    empty_figure,
    limit,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SeriesRow", "series_figure"]


@dataclass(frozen=True, eq=False)
class SeriesRow:
    """What a figure shows of one unit: its name, its share or None, and (steps,) what each does."""

    name: str
    share: float | None
    values: Tensor


def series_figure(
    series: Tensor, rows: Sequence[SeriesRow], title: str, theme: Theme = LIGHT
) -> Figure:
    """Draw a series (channels, steps): alone, then once for each map behind it.

    Args:
        series: what is drawn as lines.
        rows: the maps; orange steps raise, blue ones lower.
        title: above all of it; empty: none.
        theme: colours of text and paper.
    """
    figure = empty_figure(7.0, 1.4 * (len(rows) + 1) + (0.5 if title else 0.0), theme)
    panels = figure.subplots(len(rows) + 1, 1, sharex=True, squeeze=False)[:, 0]
    _lines(panels[0], series, theme)
    for axes, row in zip(panels[1:], rows, strict=True):
        end = limit(row.values)
        band = row.values.detach().float().cpu().numpy()[None]
        steps = series.shape[-1]
        low, high = float(series.min()), float(series.max())
        axes.imshow(
            band,
            cmap=colour_map(),
            vmin=-end,
            vmax=end,
            aspect="auto",
            extent=(-0.5, steps - 0.5, low, max(high, low + 1e-6)),
        )
        _lines(axes, series, theme)
        words = row.name if row.share is None else f"{row.name}, {share(row.share)}"
        axes.set_title(words, fontsize=9, loc="left", color=theme.ink)
    panels[-1].set_xlabel("step", fontsize=9, color=theme.ink)
    if title:
        figure.suptitle(title, color=theme.ink, fontsize=10, parse_math=False)
    return figure


def _lines(axes: Axes, series: Tensor, theme: Theme) -> None:
    for channel in series.detach().float().cpu().numpy():
        axes.plot(channel, color=theme.ink, linewidth=0.9, alpha=0.7)
    plain_axes(axes, theme)

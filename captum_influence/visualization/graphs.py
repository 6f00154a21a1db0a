"""Figures of graphs whose nodes stand in rows, from the bottom to the top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from captum_influence.visualization.style import (
    BLUE,
    LIGHT,
    ORANGE,
    Theme,
    empty_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["graph_figure"]

_MOST, _LEAST = 4.0, 0.6  # widths of edges, in points

_BENDS = {"q": -0.4, "k": 0.0, "v": 0.4}  # of arcs, by what is written beside them

Edge = tuple[str, str, float, str]
Places = Mapping[str, tuple[float, float]]


def graph_figure(
    rows: Sequence[Sequence[str]], edges: Sequence[Edge], *, theme: Theme = LIGHT
) -> Figure:
    """Draw nodes in rows, the first at the bottom, and edges as wide as what they carry.

    Args:
        rows: the nodes of each row.
        edges: from where, to where, what it carries, and what is written beside it. Orange
            raises, blue lowers.
        theme: of the paper that it stands on.
    """
    widest, tall = max(len(row) for row in rows), max(len(rows) - 1, 1)
    figure = empty_figure(max(5.4, 0.75 * widest + 1), max(2.6, 0.85 * tall + 0.7), theme)
    axes = figure.add_subplot()
    places = _places(rows)
    most = max((abs(value) for *_, value, _ in edges), default=1.0) or 1.0
    for edge in sorted(edges, key=lambda edge: abs(edge[2])):
        _draw(axes, places, edge, abs(edge[2]) / most, theme)
    box = {"boxstyle": "round,pad=0.3", "facecolor": theme.paper, "edgecolor": theme.ink}
    for name, (x, y) in places.items():
        axes.text(x, y, name, ha="center", va="center", fontsize=8, color=theme.ink, bbox=box)
    axes.set_xlim(-0.5 * widest - 0.5, 0.5 * widest + 0.5)
    axes.set_ylim(-0.4, tall + 0.4)
    axes.set_aspect("equal")  # so that labels stand on the arcs
    axes.set_axis_off()
    return figure


def _draw(axes: Axes, places: Places, edge: Edge, share: float, theme: Theme) -> None:
    """Draw an edge as an arc, which tells those between the same two nodes apart."""
    begin, end, value, label = edge
    (x, y), (u, v) = places[begin], places[end]
    bend = _BENDS.get(label, 0.15)
    axes.annotate(
        "",
        xy=(u, v),
        xytext=(x, y),
        arrowprops={
            "arrowstyle": "-|>",
            "color": ORANGE if value > 0 else BLUE,
            "linewidth": _LEAST + (_MOST - _LEAST) * share,
            "alpha": 0.35 + 0.6 * share,
            "connectionstyle": f"arc3,rad={bend}",
            "shrinkA": 10,
            "shrinkB": 10,
        },
    )
    if label:  # where the arc is half-way
        middle = ((x + u) / 2 + bend / 2 * (v - y), (y + v) / 2 - bend / 2 * (u - x))
        beneath = {"pad": 0.6, "fc": theme.paper, "ec": "none"}
        text = axes.text(*middle, label, ha="center", va="center", fontsize=7, bbox=beneath)
        text.set_color(theme.ink)


def _places(rows: Sequence[Sequence[str]]) -> Places:
    return {
        name: (column - (len(row) - 1) / 2, float(level))
        for level, row in enumerate(rows)
        for column, name in enumerate(row)
    }

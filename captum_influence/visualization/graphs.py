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

_APART, _SIDE, _INCH = 1.1, 1.15, 0.85  # of nodes, of what is beside them, in rows; of a row

_BENDS = {"q": -0.4, "k": 0.0, "v": 0.4}  # of arcs, by what is written beside them

Edge = tuple[str, str, float, str]
Places = Mapping[str, tuple[float, float]]


def graph_figure(
    rows: Sequence[Sequence[str]],
    edges: Sequence[Edge],
    *,
    labels: Mapping[str, str] | None = None,
    sides: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw nodes in rows, the first at the bottom, and edges as wide as what they carry.

    Args:
        rows: the nodes of each row.
        edges: from where, to where, what it carries, and what is written beside it. Orange
            raises, blue lowers.
        labels: what is written in nodes, by their names; None: the names.
        sides: what is written beside each row; empty: nothing.
        theme: of the paper that it stands on.
    """
    widest, tall = max(len(row) for row in rows), max(len(rows) - 1, 1)
    beside = _SIDE if sides else 0.0
    # As wide as the nodes are, so that none of the paper is empty.
    width, height = _APART * widest + beside, tall + 0.8
    figure = empty_figure(max(3.2, _INCH * width), max(1.6, _INCH * height), theme)
    axes = figure.add_subplot()
    places = _places(rows)
    most = max((abs(value) for *_, value, _ in edges), default=1.0) or 1.0
    for edge in sorted(edges, key=lambda edge: abs(edge[2])):
        _draw(axes, places, edge, abs(edge[2]) / most, theme)
    box = {"boxstyle": "round,pad=0.3", "facecolor": theme.paper, "edgecolor": theme.ink}
    for name, (x, y) in places.items():
        label = (labels or {}).get(name, name)
        axes.text(x, y, label, ha="center", va="center", fontsize=8.5, color=theme.ink, bbox=box)
    left = -0.5 * _APART * widest - beside
    for level, side in enumerate(sides):
        axes.text(left, level, side, ha="left", va="center", fontsize=8.5, color=theme.ink)
    axes.set_xlim(left, 0.5 * _APART * widest)
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
            "alpha": 0.6 + 0.4 * share,
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
        name: (_APART * (column - (len(row) - 1) / 2), float(level))
        for level, row in enumerate(rows)
        for column, name in enumerate(row)
    }

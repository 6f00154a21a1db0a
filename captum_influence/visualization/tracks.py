"""Figures of routes: from a column to a column, level by level, from the bottom to the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from captum_influence.visualization.style import BLUE, LIGHT, ORANGE, Theme, empty_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Track", "tracks_figure"]

_MOST, _LEAST = 4.5, 0.8  # widths, in points


@dataclass(frozen=True, kw_only=True)
class Track:
    """One route.

    Attributes:
        places: the column that it is in at each level.
        labels: what is written where it arrives at each level; "": nothing.
        value: what it carries: orange raises, blue lowers.
    """

    places: Sequence[int]
    labels: Sequence[str]
    value: float


def tracks_figure(
    columns: Sequence[str], levels: Sequence[str], tracks: Sequence[Track], *, theme: Theme = LIGHT
) -> Figure:
    """Draw routes as lines, as wide as what they carry; columns are named below, levels beside."""
    wide, tall = max(5.4, 0.62 * len(columns) + 1.4), max(2.8, 0.8 * len(levels) + 0.8)
    figure = empty_figure(wide, tall, theme)
    axes = figure.add_subplot()
    most = max((abs(track.value) for track in tracks), default=1.0) or 1.0
    for track in sorted(tracks, key=lambda track: abs(track.value)):
        share = abs(track.value) / most
        axes.plot(
            track.places,
            range(len(track.places)),
            color=ORANGE if track.value > 0 else BLUE,
            linewidth=_LEAST + (_MOST - _LEAST) * share,
            alpha=0.35 + 0.6 * share,
            solid_capstyle="round",
        )
    beneath = {"pad": 0.8, "fc": theme.paper, "ec": "none", "alpha": 0.85}
    for (column, level), label in labels_of(tracks).items():
        text = axes.text(column, level, label, ha="center", va="center", fontsize=7, bbox=beneath)
        text.set_color(theme.ink)
    axes.set_xticks(range(len(columns)), list(columns), parse_math=False, fontsize=8)
    axes.set_yticks(range(len(levels)), list(levels), parse_math=False, fontsize=8)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(-0.3, len(levels) - 0.6)
    axes.tick_params(colors=theme.ink, length=0)
    axes.set_facecolor(theme.paper)
    axes.spines[:].set_visible(False)
    return figure


def labels_of(tracks: Sequence[Track]) -> dict[tuple[int, int], str]:
    """Return what is written at each (column, level), once."""
    found: dict[tuple[int, int], dict[str, None]] = {}
    for track in tracks:
        for level, (column, label) in enumerate(zip(track.places, track.labels, strict=True)):
            if label:
                found.setdefault((column, level), {})[label] = None
    return {place: ", ".join(labels) for place, labels in found.items()}

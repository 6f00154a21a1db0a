"""The page of routes: tokens by blocks, the routes between them, and each in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, bars
from captum_influence.visualization.numbers import number, percent
from captum_influence.visualization.style import LIGHT, Theme
from captum_influence.visualization.tracks import Track, labels_of, tracks_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.circuits.patterns.result import Routes

__all__ = ["routes_figure", "routes_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_LEFT, _COLUMN, _LEVEL, _FOOT = 90, 74, 62, 46  # of the picture, in its own units
_WIDEST, _LEAST = 7.0, 1.2
_CAVEATS = (
    "A route is found greedily: what is most in one block needn't lead to most behind the last.",
    "Perceptrons and norms are passed at the position where the route is; they are no nodes.",
    "What a route carries is an estimate; what nodes bring back alone is measured, and routes that "
    "share nodes help one another.",
    "What the clean and the corrupted input share begins no route.",
)


@dataclass(frozen=True)
class _Line:
    """A route in the picture; ``words`` is shown where it is pointed at."""

    points: str
    width: float
    opacity: float
    minus: bool
    words: str


@dataclass(frozen=True)
class _Label:
    x: int
    y: int
    text: str


@dataclass(frozen=True)
class _Row:
    token: str
    route: str
    value: float
    total: float
    share: str
    alone: str
    bar: Bar


def routes_page(found: Routes, command: str | None = None) -> Page:
    """Return the page of routes."""
    title, _, lead = found.headline.partition(". ")
    tracks = _tracks(found)
    levels = ("embedding", *found.blocks)
    content = {
        "window": f"routes to {found.quantity}",
        "eyebrow": f"{found.network} · {found.quantity}",
        "title": f"{title}.",
        "lead": lead,
        "r": found,
        "width": _LEFT + _COLUMN * len(found.tokens),
        "height": _LEVEL * len(levels) + _FOOT,
        "lines": _lines(found, tracks),
        "labels": [
            _Label(*_place(column, level, len(levels)), text)
            for (column, level), text in labels_of(tracks).items()
        ],
        "columns": [
            _Label(_place(i, 0, len(levels))[0], _LEVEL * len(levels) + 4, name)
            for i, name in enumerate(_columns(found))
        ],
        "levels": [_Label(6, _place(0, i, len(levels))[1], name) for i, name in enumerate(levels)],
        "rows": _rows(found),
        "method": "At a token's embedding, what differs between the clean and the corrupted input "
        "was followed block by block: of all heads at all positions, and the skip connection where "
        "the route is, the node was kept through which most passes, over "
        f"{found.distribution}. Then the network was run with everything but the nodes of the "
        "routes as it is for the corrupted input.",
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": _CAVEATS,
    }
    return Page(TEMPLATE, content, lambda: iter([("routes", found.plot())]))


def routes_figure(found: Routes, theme: Theme = LIGHT) -> Figure:
    """Draw all routes."""
    levels = ("embedding", *found.blocks)
    return tracks_figure(_columns(found), levels, _tracks(found), theme=theme)


def _columns(found: Routes) -> list[str]:
    return [text.strip("'\"") or str(place) for place, text in enumerate(found.tokens)]


def _tracks(found: Routes) -> list[Track]:
    return [
        Track(
            places=[start, *found.positions[row].tolist()],
            labels=["", *(f"h{head}" if head >= 0 else "" for head in found.heads[row].tolist())],
            value=float(found.values[row, -1]),
        )
        for row, start in enumerate(found.starts.tolist())
    ]


def _lines(found: Routes, tracks: Sequence[Track]) -> list[_Line]:
    most = max(abs(track.value) for track in tracks) or 1.0
    levels, drawn = len(found.blocks) + 1, []
    for row, track in enumerate(tracks):
        share = abs(track.value) / most
        places = [_place(column, level, levels) for level, column in enumerate(track.places)]
        words = (
            f"{found.in_words(row)}: {number(track.value)} of {number(float(found.totals[row]))}"
        )
        drawn.append(
            _Line(
                " ".join(f"{x},{y}" for x, y in places),
                round(_LEAST + (_WIDEST - _LEAST) * share, 1),
                round(0.35 + 0.6 * share, 2),
                track.value < 0,
                words,
            )
        )
    return sorted(drawn, key=lambda line: line.width)


def _place(column: int, level: int, levels: int) -> tuple[int, int]:
    return _LEFT + _COLUMN // 2 + _COLUMN * column, _LEVEL * (levels - 1 - level) + _LEVEL // 2


def _rows(found: Routes) -> list[_Row]:
    order = found.values[:, -1].abs().argsort(descending=True).tolist()
    drawn = bars([float(found.values[row, -1]) for row in order])
    return [
        _Row(
            f"{int(found.starts[row])} {found.tokens[int(found.starts[row])]}",
            " ".join(found.route(int(found.starts[row]))),
            float(found.values[row, -1]),
            float(found.totals[row]),
            percent(float(found.shares[row])),
            percent(float(found.alone[row])),
            bar,
        )
        for row, bar in zip(order, drawn, strict=True)
    ]


def _facts(found: Routes) -> Iterator[tuple[str, str]]:
    yield "network", found.network
    yield "pairs", str(len(found.clean))
    clean, corrupted = float(found.clean.mean()), float(found.corrupted.mean())
    yield f"{found.quantity}, clean and corrupted", f"{number(clean)}, {number(corrupted)}"
    yield "patterns were weighed over", found.distribution
    yield "random routes of each token", str(len(found.chance))
    yield "time", f"{found.seconds:.1f} s"

"""The page of a circuit: the graph, how faithful it is, and its edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.circuits.graph import edge_in_words, node_in_words
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, Tile, bars, chart
from captum_influence.reports.words import counted
from captum_influence.visualization.graphs import graph_figure
from captum_influence.visualization.lines import line_figure
from captum_influence.visualization.numbers import number, percent
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.circuits.result import Circuit

__all__ = ["circuit_figure", "circuit_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_DRAWN, _LISTED = 40, 30  # edges
_CAVEATS = (
    "A score is an estimate for one edge; what edges do together is measured by the curve only.",
    "What counts as carried depends on the corruption: what both inputs share is in no edge.",
    "Sizes were compared on the pairs that edges were scored on: try others by found.only(model).",
)


@dataclass(frozen=True)
class _Row:
    name: str
    words: str
    score: float
    bar: Bar


def circuit_page(found: Circuit, command: str | None = None) -> Page:
    """Return the page of a circuit."""
    title, _, lead = found.headline.partition(". ")
    listed = list(found.edges.items())[:_LISTED]
    drawn = bars([score for _, score in listed])
    content = {
        "window": f"circuit of {found.quantity}",
        "eyebrow": f"{found.network} · {found.quantity}",
        "title": f"{title}.",
        "lead": lead,
        "c": found,
        "graph": chart(lambda theme: circuit_figure(found, theme), "the circuit"),
        "curve": chart(lambda theme: _curve(found, theme), "faithfulness by number of edges"),
        "tiles": list(_tiles(found)),
        "rows": [
            _Row(name, edge_in_words(name), score, bar)
            for (name, score), bar in zip(listed, drawn, strict=True)
        ],
        "drawn": min(found.size, _DRAWN),
        "method": "Each edge was scored by the influence at the reader, on its own branch, times "
        "the difference of what the writer writes for the clean and for the corrupted input. A "
        "circuit was run with every other edge carrying what the corrupted input would.",
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": _CAVEATS,
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def circuit_figure(found: Circuit, theme: Theme = LIGHT) -> Figure:
    """Draw the edges that carry most, of heads and perceptrons in the rows of their blocks."""
    edges, used = [], dict[str, None]()
    for name, score in list(found.edges.items())[:_DRAWN]:
        writer, _, reader = name.partition("->")
        node, _, purpose = reader.partition("<")
        used |= {writer: None, node: None}
        edges.append((writer, node, score, purpose.rstrip(">")))
    rows: dict[str, list[str]] = {}
    for node in (*found.graph.writers, "logits"):
        if node in used:
            rows.setdefault(node.partition(".")[0], []).append(node)
    words = {node: node_in_words(node) for node in used or ("logits",)}
    return graph_figure(
        list(rows.values()) or [["logits"]],
        edges,
        labels={node: name for node, (name, _) in words.items()},
        sides=[words[row[0]][1] for row in rows.values()],
        theme=theme,
    )


def _tiles(found: Circuit) -> Iterator[Tile]:
    """What the circuit does alone, and beside it what chance does."""
    edges = counted(found.size, "edge")
    yield Tile(percent(found.share), f"of the difference comes back with these {edges} alone")
    mean, best = float(found.chance.mean()), float(found.chance.max())
    yield Tile(
        percent(mean),
        f"with {found.size} random ones, connected in the same way: the mean of "
        f"{len(found.chance)}, whose best brings back {percent(best)}",
    )
    clean, corrupted = float(found.clean.mean()), float(found.corrupted.mean())
    yield Tile(
        f"{number(clean)} → {number(corrupted)}",
        f"{found.quantity}, first here, then with the other input",
    )


def _curve(found: Circuit, theme: Theme = LIGHT) -> Figure:
    curve = found.curve
    lines = {
        "the circuit": curve.own,
        "random, mean": curve.random.mean(dim=1),
        "random, best": curve.random.amax(dim=1),
    }
    return line_figure(
        curve.sizes,
        lines,
        xlabel="edges",
        ylabel="share brought back",
        theme=theme,
    )


def _figures(found: Circuit) -> Iterator[tuple[str, Figure]]:
    yield "circuit", found.plot()
    yield "faithfulness", _curve(found)


def _facts(found: Circuit) -> Iterator[tuple[str, str]]:
    yield "network", found.network
    yield "pairs", str(len(found.clean))
    clean, corrupted = float(found.clean.mean()), float(found.corrupted.mean())
    yield f"{found.quantity}, clean and corrupted", f"{number(clean)}, {number(corrupted)}"
    yield "edges were scored over", found.distribution
    yield "random circuits of each size", str(found.curve.random.shape[1])
    yield "area under the curve (CPR)", number(found.curve.cpr)
    yield "area between it and 1 (CMD)", number(found.curve.cmd)
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())
    yield "time", f"{found.seconds:.1f} s"

"""The page of experts: how well few units tell a class from the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import chart
from captum_influence.visualization import charts
from captum_influence.visualization.style import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.experts.curves.result import ExpertCurves, OneAgainstRest

__all__ = ["expert_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_SCORES = ("precision", "recall", "f1", "accuracy")
_INTRO = {
    "keep": "Only the first k units of each ranking are kept. Higher and earlier is better.",
    "remove": "The first k units of each ranking are removed. A ranking is good if it falls early.",
}
_CAVEATS = (
    "The best number of units was chosen on the pictures that the scores are from, so that its "
    "score is a little too good.",
    "An expert that says its class of everything has a recall of 1; read it with the precision.",
    "A replaced unit takes a value that it may never have taken in training.",
)


@dataclass(frozen=True)
class _Row:
    name: str
    k: int
    counts: OneAgainstRest


def expert_page(found: ExpertCurves, command: str | None = None) -> Page:
    """Return the page of experts."""
    title, _, lead = found.headline.partition(". ")
    verb = "kept alone" if found.mode == "keep" else "removed"
    content = {
        "window": found.question,
        "eyebrow": f"{found.network} · {found.question}, units {verb}",
        "title": f"{title}." if lead else title,
        "lead": lead,
        "e": found,
        "intro": _INTRO[found.mode],
        "curves": [
            chart(_curve(found, score), f"{score} against the number of units") for score in _SCORES
        ],
        "table": [_Row(name, k, found.best[name]) for name, k in found.best_k.items()],
        "method": "Units are kept or removed by replacing activations at the layer by "
        f"{found.replaced_by}; what comes before the layer runs once. The class is said where it "
        "has the highest score.",
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": _CAVEATS,
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def _figures(found: ExpertCurves) -> Iterator[tuple[str, Figure]]:
    yield "overview", found.plot()


def _curve(found: ExpertCurves, score: str) -> Callable[[Theme], Figure]:
    panel = {n: [getattr(c, score) for c in counts] for n, counts in found.counts.items()}
    whole = {score: getattr(found.whole, score)}
    verb = "kept" if found.mode == "keep" else "removed"
    return lambda theme: charts.curve_panels(
        found.ks, {score: panel}, whole, xlabel=f"units {verb}", theme=theme
    )


def _facts(found: ExpertCurves) -> Iterator[tuple[str, str]]:
    whole = found.whole
    yield "network, layer", f"{found.network}, {found.layer}"
    yield (
        "pictures",
        f"{whole.hits + whole.misses} of {found.name}, {whole.false_alarms + whole.rest} of others",
    )
    yield "numbers of units", ", ".join(map(str, found.ks))
    yield "replaced by", found.replaced_by
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())
    yield "time", f"{found.seconds:.1f} s"

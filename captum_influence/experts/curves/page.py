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


@dataclass(frozen=True)
class _Row:
    name: str
    k: int
    counts: OneAgainstRest


def expert_page(found: ExpertCurves, command: str | None = None) -> Page:
    """Return the page of experts."""
    table = [_row(found, name) for name in found.counts]
    verb = "kept alone" if found.mode == "keep" else "removed"
    content = {
        "window": found.question,
        "eyebrow": f"{found.question}, units {verb}",
        "title": _title(found, table),
        "lead": _lead(found, table),
        "e": found,
        "intro": _intro(found),
        "curves": [
            chart(_curve(found, score), f"{score} against the number of units") for score in _SCORES
        ],
        "table": table,
        "method": "Units are kept or removed by replacing activations at the layer; what comes "
        "before the layer runs once. The class is said where it has the highest score.",
        "facts": [
            ("question", f"{found.question}, units {verb}"),
            ("pictures", _pictures(found.whole)),
            ("numbers of units", ", ".join(map(str, found.ks))),
        ],
        "python": "from captum_influence.explain import class_rankings, expert_curves\n\n"
        f"rankings = class_rankings(model, layer, loader, target)\n"
        f"expert_curves(model, layer, rankings, held_out, target, mode={found.mode!r})",
        "commanded": command is not None,
        "command": command,
        "caveats": [
            "The best number of units was chosen on the pictures that the scores are from, so that "
            "its score is a little too good.",
            "An expert that says its class of everything has a recall of 1; read it with the "
            "precision.",
            "A replaced unit takes a value that it may never have taken in training.",
        ],
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


def _row(found: ExpertCurves, name: str) -> _Row:
    k = found.best_k[name]
    return _Row(name, k, found.counts[name][found.ks.index(k)])


def _title(found: ExpertCurves, table: list[_Row]) -> str:
    if found.mode == "keep":
        best = max(table, key=lambda row: (row.counts.f1, -row.k))
        return (
            f"{_units(best.k)} by {best.name} alone tell{'s' * (best.k == 1)} "
            f"{found.question.partition(' against')[0]} from the rest with F1 {best.counts.f1:.2f}."
        )
    best = min(table, key=lambda row: (row.counts.recall, row.k))
    return (
        f"Without {_units(best.k)} by {best.name} the network recognises "
        f"{100 * best.counts.recall:.0f}\u00a0% of {found.question.partition(' against')[0]}."
    )


def _lead(found: ExpertCurves, table: list[_Row]) -> str:
    whole = f"The whole network has F1 {found.whole.f1:.2f}, recall {found.whole.recall:.2f}."
    chance = [row for row in table if row.name == "random"]
    if not chance:
        return whole
    return f"{whole} The best random choice takes {_units(chance[0].k)}."


def _intro(found: ExpertCurves) -> str:
    if found.mode == "keep":
        return "Nothing but the first k units of each ranking speaks. Higher and earlier is better."
    return "The first k units of each ranking are silent. A ranking is good if it falls early."


def _units(k: int) -> str:
    return f"{k} unit{'s' * (k != 1)}"


def _pictures(whole: OneAgainstRest) -> str:
    own = whole.hits + whole.misses
    return f"{own} of the class, {whole.false_alarms + whole.rest} of others"

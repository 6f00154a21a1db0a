"""The page of experts: how well few units tell a class from the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import Tile, chart
from captum_influence.reports.words import counted
from captum_influence.visualization import charts
from captum_influence.visualization.numbers import percent
from captum_influence.visualization.style import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.experts.curves.result import ExpertCurves, OneAgainstRest, Score

__all__ = ["expert_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_SCORES = ("precision", "recall", "f1", "accuracy")
_INTRO = {
    "keep": "Only the first k units of each ranking are kept. Higher and earlier is better.",
    "remove": "The first k units of each ranking are removed. A ranking is good if it falls early.",
}
_CAVEATS = (
    "The best number of units was chosen on the {}s that the scores are from, so that its score is "
    "a little too good.",
    "An expert that says its class of everything has a recall of 1; read it with the precision.",
    "A replaced unit takes a value that it may never have taken in training.",
)


_SCORE: dict[str, tuple[Score, str]] = {
    "keep": ("f1", "how well {} is told from the rest"),
    "remove": ("recall", "share of {} that is recognised"),
}


@dataclass(frozen=True)
class _Row:
    names: Sequence[str]
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
        "best": chart(_best(found), "how well the class is told, by the number of units"),
        "tiles": list(_tiles(found)),
        "curves": [
            chart(_curve(found, score), f"{score} against the number of units") for score in _SCORES
        ],
        "table": _table(found),
        "method": "Units are kept or removed by replacing activations at the layer by "
        f"{found.replaced_by}; what comes before the layer runs once. The class is said where it "
        "has the highest score.",
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": [caveat.format(found.noun) for caveat in _CAVEATS],
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def _table(found: ExpertCurves) -> list[_Row]:
    """Return a row for each outcome, with all rankings that have it."""
    rows: dict[tuple[int, OneAgainstRest], list[str]] = {}
    for name, k in found.best_k.items():
        rows.setdefault((k, found.best[name]), []).append(name)
    return [_Row(names, k, counts) for (k, counts), names in rows.items()]


def _tiles(found: ExpertCurves) -> Iterator[Tile]:
    """What the best units do, and beside it what the whole network and chance do."""
    name, k = found.chosen
    does = "with only" if found.mode == "keep" else "without"
    tried = [(found.best[name], f"{does} {counted(k, 'unit')} by {name}")]
    if found.at_random is not None and name != "random":
        tried.append((found.at_random, f"{does} {counted(k, 'unit')} drawn at random"))
    tried.append((found.whole, "by the whole network"))
    alike: dict[OneAgainstRest, list[str]] = {}
    for counts, words in tried:
        alike.setdefault(counts, []).append(words)
    for counts, ways in alike.items():
        said = counts.hits + counts.false_alarms
        right = f"; right in {percent(counts.precision)} of what is called so" if said else ""
        yield Tile(percent(counts.recall), f"of {found.name} found {', '.join(ways)}{right}")


def _best(found: ExpertCurves) -> Callable[[Theme], Figure]:
    """The best ranking and chance alone: all of them are further down."""
    score, words = _SCORE[found.mode]
    return _curve(found, score, words.format(found.name), (found.chosen[0], "random"))


def _figures(found: ExpertCurves) -> Iterator[tuple[str, Figure]]:
    yield "overview", found.plot()


def _curve(
    found: ExpertCurves, score: str, title: str | None = None, only: Sequence[str] = ()
) -> Callable[[Theme], Figure]:
    title = title or score
    panel = {
        name: [getattr(c, score) for c in counts]
        for name, counts in found.counts.items()
        if name in (only or found.counts)
    }
    whole = {title: getattr(found.whole, score)}
    verb = "kept" if found.mode == "keep" else "removed"
    return lambda theme: charts.curve_panels(
        found.ks, {title: panel}, whole, xlabel=f"units {verb}", theme=theme
    )


def _facts(found: ExpertCurves) -> Iterator[tuple[str, str]]:
    whole = found.whole
    yield "network, layer", f"{found.network}, {found.layer}"
    yield (
        f"{found.noun}s",
        f"{whole.hits + whole.misses} of {found.name}, {whole.false_alarms + whole.rest} of others",
    )
    yield "numbers of units", ", ".join(map(str, found.ks))
    yield "replaced by", found.replaced_by
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())
    yield "time", f"{found.seconds:.1f} s"

"""The page of a class: what it is to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from captum_influence.experts.curves.result import ExpertCurves
from captum_influence.explanations.thumbnails import (
    Glance,
    Part,
    best_part,
    glances,
    in_words,
    joint_limit,
    look_figures,
    thumbnail,
)
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, Tile, bars, chart, embedded
from captum_influence.reports.words import counted, entry_of
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.visualization import charts, maps, strips
from captum_influence.visualization.numbers import number, share
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.explanations.essences.result import Essence, EssentialUnit

__all__ = ["essence_page"]

_MAPS = {
    "picture": "the pixels what passes through the unit, added over colours",
    "prompt": "each token's embedding what passes through the unit, added over its features",
}
TEMPLATE = Path(__file__).with_name("page.html.j2")


def essence_page(essence: Essence, command: str | None = None) -> Page:
    """Return the page of a class."""
    chosen = essence.chosen
    content = {
        "window": f"{essence.name} at {essence.layer}",
        "eyebrow": f"{essence.network} · layer {essence.layer} · {essence.quantity} over "
        f"{counted(essence.count, essence.noun)}",
        "title": essence.sentences[0],
        "lead": " ".join(essence.sentences[2:]),  # the second says what the tiles show
        "e": essence,
        "kind": essence.kind,
        "prototype": _prototype(essence),
        "typical": _typical(essence),
        "tiles": list(_tiles(essence)),
        "table": _table(essence),
        "has_rest": essence.kept is not None,
        "curves": [
            chart(draw, f"{name}, against the number of units")
            for name, draw in _curves(essence).items()
        ],
        "chosen": None if chosen is None else _best(essence, *chosen),
        "cards": [_card(row, essence) for row in essence.units],
        "percent_kept": f"{100 - essence.facts['percentile']:g} %",
        "tested": list(_tested(essence)),
        "constant": _constant(essence),
        "method": _method(essence),
        "facts": list(_facts(essence)),
        "asked": essence.asked,
        "command": command,
        "caveats": list(_caveats(essence)),
    }
    return Page(TEMPLATE, content, lambda: _figures(essence))


@dataclass(frozen=True, eq=False)
class _Card:
    row: EssentialUnit
    best: Part | None
    glances: list[Glance]
    limit: float
    purity: str
    active: list[dict[str, Any]]


@dataclass(frozen=True)
class _TableRow:
    row: EssentialUnit
    anchor: str
    bar: Bar
    effect: float | None


def _figures(essence: Essence) -> Iterator[tuple[str, Figure]]:
    yield "overview", essence.plot()
    both = [*essence.units, *_others(essence)]
    rows = [row.strip(essence.by) for row in both]
    yield "units", strips.error_bars(rows, unit=essence.measure)
    for name, draw in _curves(essence).items():
        yield name.split()[0].lower() + "_curves", draw(LIGHT)
    if essence.prototype is not None:
        yield "prototype", essence.prototype.plot()
    for i, row in enumerate(essence.units, start=1):
        entry = entry_of(essence.noun)
        words = f"contribution of each {entry} to {essence.quantity} through {row.unit.name}"
        strip = row.strip(essence.by)
        yield f"unit{i}", strips.strips_figure([strip], unit=essence.measure, measure=words)
        for j, look in enumerate(row.looks, start=1):
            yield from ((f"unit{i}_{n}{j}", figure) for n, figure in look_figures(look, words))
        displays = [(e.display, str(e.label_name)) for e in row.active]
        active = [(d.picture, name) for d, name in displays if isinstance(d, PictureDisplay)]
        if active:
            yield f"unit{i}_active", maps.crop_grid(*map(list, zip(*active, strict=True)))


def _curves(essence: Essence) -> dict[str, Callable[[Theme], Figure]]:
    """Return what draws each score that tells whether the class rests on its units."""
    found = {"Recall without k units": _curve(essence.removed, "recall")}
    if essence.kept is not None:
        found["F1 with nothing but k units"] = _curve(essence.kept, "f1")
    return found


def _curve(curves: ExpertCurves, score: Literal["recall", "f1"]) -> Callable[[Theme], Figure]:
    panel = {name: curves.curve(score, name) for name in curves.counts}
    words = "without" if curves.mode == "remove" else "with nothing but"
    title = f"{'F1' if score == 'f1' else score} {words} k units"
    whole = {title: getattr(curves.whole, score)}
    return lambda theme: charts.curve_panels(
        curves.ks, {title: panel}, whole, xlabel="k", theme=theme
    )


def _prototype(essence: Essence) -> dict[str, str] | None:
    made = essence.prototype
    if made is None:
        return None
    return {"image": embedded(made.image, 90, smooth=True), "quantity": made.quantity}


def _typical(essence: Essence) -> dict[str, str | None] | None:
    """Return the class's picture, or text and its map, on which its first unit contributes most."""
    for row in essence.units:
        for look in row.looks:
            display = look.example.display
            if isinstance(display, PictureDisplay):
                return {"image": embedded(display.picture, 90), "fragment": None, "told": ""}
            told = f" Coloured: what each token does through {row.unit.name}."
            line = look.seen.seen.glance(joint_limit([look])) or display.glance()
            return {"image": None, "fragment": line, "told": told}
    return None


def _others(essence: Essence) -> list[EssentialUnit]:
    """Return the units with the lowest values that aren't among the first, upwards."""
    named = {row.unit.index for row in essence.units}
    return [row for row in reversed(essence.against) if row.unit.index not in named]


def _table(essence: Essence) -> list[_TableRow]:
    both = [*essence.units, *_others(essence)]
    drawn, first = bars([row.unit.share for row in both]), len(essence.units)
    effects = [*essence.effects.alone, *[None] * (len(both) - first)]
    return [
        _TableRow(row, f"unit-{i}" if i <= first else "", bar, effect)
        for i, (row, bar, effect) in enumerate(zip(both, drawn, effects, strict=True), start=1)
    ]


def _tiles(essence: Essence) -> Iterator[Tile]:
    removed, k = essence.removed, essence.needed
    at, whole = removed.ks.index(k), removed.whole
    pictures = whole.hits + whole.misses
    words = f"of {counted(pictures, essence.noun)} of {essence.name} recognised"
    yield Tile(share(whole.recall), words)
    if not whole.hits:
        return  # without its units it can't recognise fewer
    yield Tile(
        share(removed.curve("recall", essence.by)[at]),
        f"without the first {k} of {essence.channels} {essence.kind}s by {essence.by}",
    )
    yield Tile(share(removed.curve("recall", "random")[at]), f"without {k} at random")


def _best(essence: Essence, by: str, k: int) -> dict[str, Any]:
    """Return the class's expert, with the interval of its F1 and what does as well."""
    counts = cast(ExpertCurves, essence.kept).best[by]
    low, high = counts.interval("f1")
    also = ", ".join(f"{name} ({f1:.2f})" for name, f1 in essence.as_good.items())
    return {
        "by": by,
        "k": k,
        "f1": f"{counts.f1:.2f}",
        "range": f"{low:.2f} to {high:.2f}",
        "also": also,
    }


def _card(row: EssentialUnit, essence: Essence) -> _Card:
    end = joint_limit(row.looks)
    own = sum(example.label == essence.target for example in row.active)
    purity = ""
    if row.active and essence.kept is not None:
        noun = f"{essence.noun}s"
        purity = f"{own} of the {len(row.active)} {noun} where it is most active are {essence.name}"
    active = [thumbnail(example) for example in row.active]
    return _Card(row, best_part(row.looks), glances(row.looks, end, in_words), end, purity, active)


def _tested(essence: Essence) -> Iterator[str]:
    """Yield what the removal of the units that are shown did to the quantity."""
    if essence.units:
        yield essence.effects.together_in_words(essence.quantity)
    yield essence.effects.agreement_in_words()


def _constant(essence: Essence) -> bool:
    """Return whether no unit's influence differs from input to input."""
    rows = [*essence.units, *essence.against]
    return all(row.influence_error <= abs(row.influence) * 1e-6 for row in rows)


def _method(essence: Essence) -> str:
    return (
        f"A unit's influence is the gradient of {essence.quantity} at the unit, averaged over "
        f"{essence.facts['distribution']} and over the {essence.noun}s of {essence.name}, and "
        "summed over the unit's positions; its contribution is the same times how far its "
        f"activation lies from {essence.facts['counts_from']}. The units are removed at the "
        f"layer, with {essence.facts['replace']} in their place. The maps ask at "
        f"{_MAPS[essence.noun]}."
    )


def _facts(essence: Essence) -> Iterator[tuple[str, str]]:
    yield "network, layer", f"{essence.network}, {essence.layer}"
    if "basis" in essence.facts:
        yield "concepts", essence.facts["basis"]
    yield "asked", f"{essence.quantity}, ranked by {essence.by}"
    yield f"{essence.noun}s", f"{counted(essence.count, essence.noun)} of {essence.name}"
    yield "tried on", essence.removed.question + (", held out" if essence.held_out else "")
    if essence.prototype is not None:
        made = essence.prototype
        yield (
            "prototype",
            f"{made.quantity} from {number(made.start)} to {number(made.value)} in "
            f"{len(made.history)} steps",
        )
    yield "versions", ", ".join(f"{k} {v}" for k, v in essence.asked.versions.items())
    yield "time", f"{essence.seconds:.1f} s"


def _caveats(essence: Essence) -> Iterator[str]:
    noun = essence.noun
    yield (
        f"Means hide what differs from {noun} to {noun}: a class may rest on one unit here and "
        "on another there. The examples are the extremes, not the typical ones."
    )
    if not essence.held_out:
        yield (
            f"The units were tried on the {noun}s that they were chosen on, which flatters them: "
            f"give held-out {noun}s to be sure."
        )
    if essence.count < 10:
        yield (
            f"There {'is' if essence.count == 1 else 'are'} only "
            f"{counted(essence.count, noun)} of {essence.name}: standard errors are rough or "
            f"unknown, and single {noun}s weigh much."
        )
    if essence.kept is None:
        yield (
            f"There were no {noun}s of other classes, so that nothing says what is special to "
            f"{essence.name}."
        )
    yield (
        "A removed unit is silenced, which may be a state that the network never saw. And the "
        "class may have other ways through the network, around this layer."
    )
    yield "Units share work: one that looks dispensable may have a stand-in."

"""The page of two classes: what separates them for the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.explanations.thumbnails import (
    Glance,
    Part,
    best_part,
    glances,
    in_words,
    joint_limit,
    look_figures,
)
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, Tile, bars, chart
from captum_influence.reports.words import counted, entry_of, owned, quoted
from captum_influence.visualization import charts, strips
from captum_influence.visualization.numbers import number, share
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.explanations.pairs.result import Pair, SeparatingUnit, Side

__all__ = ["pair_page"]

_BESIDE = {"picture": "a background", "prompt": "a word, or a length,"}
TEMPLATE = Path(__file__).with_name("page.html.j2")


def pair_page(pair: Pair, command: str | None = None) -> Page:
    """Return the page of two classes."""
    title, _, lead = pair.headline.partition(". ")
    sides = [_side(pair, i) for i in (0, 1)]
    content = {
        "window": f"{pair.first.name} or {pair.second.name} at {pair.layer}",
        "eyebrow": f"{pair.network} · layer {pair.layer} · {pair.quantity} over "
        f"{pair.first.count} + {pair.second.count} {pair.noun}s",
        "title": f"{title}." if lead else title,
        "lead": lead,
        "p": pair,
        "sides": sides,
        "tiles": list(_tiles(pair)),
        "table": _table(pair, sides),
        "curves": [
            chart(draw, f"{name}, against the number of removed units")
            for name, draw in _curves(pair).items()
        ],
        "percent_kept": f"{100 - pair.facts['percentile']:g} %",
        "tested": list(_tested(pair)),
        "method": _method(pair),
        "facts": list(_facts(pair)),
        "asked": pair.asked,
        "command": command,
        "caveats": list(_caveats(pair)),
    }
    return Page(TEMPLATE, content, lambda: _figures(pair))


@dataclass(frozen=True, eq=False)
class _Card:
    row: SeparatingUnit
    anchor: str
    best: Part | None
    glances: list[Glance]
    limit: float


@dataclass(frozen=True, eq=False)
class _SideShown:
    name: str
    other: str
    cards: list[_Card]


@dataclass(frozen=True)
class _TableRow:
    row: SeparatingUnit
    anchor: str
    bar: Bar
    effect: float


def _figures(pair: Pair) -> Iterator[tuple[str, Figure]]:
    yield "overview", pair.plot()
    rows = [row for side in pair.sides for row in side.units]
    unit = f"for {pair.second.name} (−) or {pair.first.name} (+): difference of contributions"
    yield "units", strips.error_bars([row.strip() for row in rows], unit=unit)
    for i, draw in enumerate(_curves(pair).values(), start=1):
        yield f"moves{i}", draw(LIGHT)
    for i, row in enumerate(rows, start=1):
        entry = entry_of(pair.noun)
        words = f"contribution of each {entry} to {pair.quantity} through {row.unit.name}"
        yield f"unit{i}", strips.strips_figure([row.strip()], unit=unit, measure=words)
        for j, look in enumerate(row.looks, start=1):
            yield from ((f"unit{i}_{n}{j}", figure) for n, figure in look_figures(look, words))


def _curves(pair: Pair) -> dict[str, Callable[[Theme], Figure]]:
    """Return what draws, for each class, how many answers move to the other."""
    first, second = pair.sides
    return {
        f"answers {quoted(own.name)} that become {quoted(other.name)}": _curve(own, other, style)
        for style, (own, other) in enumerate(((first, second), (second, first)))
        if own.moves.ks and own.moves.answers
    }


def _curve(own: Side, other: Side, style: int) -> Callable[[Theme], Figure]:
    title = f"share of {quoted(own.name)} that become {quoted(other.name)}"
    panel = {owned(own.name, "units"): own.moves.moved["contribution"]}
    panel["random"] = own.moves.moved["random"]
    return lambda theme: charts.curve_panels(
        own.moves.ks, {title: panel}, {}, xlabel="units removed", first_style=style, theme=theme
    )


def _side(pair: Pair, i: int) -> _SideShown:
    own, other = pair.sides[i], pair.sides[1 - i]
    cards = []
    for n, row in enumerate(own.units, start=1):
        end = joint_limit(row.looks)
        shown = glances(row.looks, end, in_words)
        cards.append(_Card(row, f"unit-{'ab'[i]}{n}", best_part(row.looks), shown, end))
    return _SideShown(own.name, other.name, cards)


def _table(pair: Pair, sides: list[_SideShown]) -> list[_TableRow]:
    cards = [card for side in sides for card in side.cards]
    signed = [card.row.unit.share * (1 if card.row.is_for_first else -1) for card in cards]
    lost = [x for side in pair.sides if side.effects is not None for x in side.effects.alone]
    rows = zip(cards, bars(signed), lost, strict=True)
    return [_TableRow(card.row, card.anchor, bar, effect) for card, bar, effect in rows]


def _tiles(pair: Pair) -> Iterator[Tile]:
    first, second = pair.sides
    for own, other in ((first, second), (second, first)):
        if not own.moves.ks or not own.moves.answers:
            continue
        k, moved, chance = own.best()
        yield Tile(
            share(moved),
            f"of {counted(own.moves.answers, 'right answer')} {quoted(own.name)} become "
            f"{quoted(other.name)} without {k} of its units",
        )
        yield Tile(share(chance), f"of them without {k} at random")


def _tested(pair: Pair) -> Iterator[str]:
    """Yield what the removal of either class's units did to its lead."""
    for side, other in (pair.sides, pair.sides[::-1]):
        if side.effects is not None:
            lead = f"score({side.name}) − score({other.name})"
            yield f"{side.name}: {side.effects.together_in_words(lead)}"
            yield side.effects.agreement_in_words()


def _method(pair: Pair) -> str:
    return (
        f"A unit's contribution is the gradient of {pair.quantity} at the unit, averaged over "
        f"{pair.facts['distribution']}, times how far its activation lies from "
        f"{pair.facts['counts_from']}, summed over its positions. The difference of its means on "
        "the two classes says how far it pulls them apart. A unit is evidence for the class on "
        f"whose {pair.noun}s it is more active. Units are removed at the layer, with "
        f"{pair.facts['replace']} in their place. The maps ask the same at the "
        f"{entry_of(pair.noun)}s, through the unit."
    )


def _facts(pair: Pair) -> Iterator[tuple[str, str]]:
    yield "network, layer", f"{pair.network}, {pair.layer}"
    yield "asked", pair.quantity
    for side in pair.sides:
        yield (
            f"{pair.noun}s of {side.name}",
            f"{side.count}; removal tried on {side.moves.answers} that are answered right"
            + (", held out" if pair.held_out else ""),
        )
    first, second = pair.margins
    yield "kept apart by", f"{number(first)} and {number(second)}: {number(first - second)}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in pair.asked.versions.items())
    yield "time", f"{pair.seconds:.1f} s"


def _caveats(pair: Pair) -> Iterator[str]:
    if not pair.held_out:
        yield (
            f"Removal was tried on the {pair.noun}s that the units were chosen on, which flatters "
            f"them: give held-out {pair.noun}s to be sure."
        )
    if min(side.count for side in pair.sides) < 10:
        few = f"There are few {pair.noun}s: standard errors are rough and single {pair.noun}s"
        yield f"{few} weigh much."
    yield (
        "What tells these two apart may be useless against a third class; and units that both "
        "classes share don't show here, however much they matter."
    )
    yield (
        f"What differs between the {pair.noun}s counts, whether it belongs to the classes or not: "
        f"{_BESIDE[pair.noun]} that goes with one of them is found as well."
    )
    yield (
        "A removed unit is silenced, which may be a state that the network never saw. And the "
        "classes may be kept apart around this layer too."
    )

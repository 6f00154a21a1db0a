"""The page of one picture: why the network said what it said about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_influence.explanations.overlays import PRIOR, UNITS
from captum_influence.explanations.thumbnails import thumbnail
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, Cell, bars, heights
from captum_influence.reports.words import counted
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import maps
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.explanations.instances.result import Explanation

__all__ = ["explanation_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_FOCUS = {
    "quantity": "what each unit passes on: its entries, each weighed by its own influence",
    "unit": "each unit itself",
}
_ENDS = "the largest 0.5 % of values share the colours at the ends of the scale"


def explanation_page(explanation: Explanation, command: str | None = None) -> Page:
    """Return the page of an explanation."""
    effects, seen = explanation.effects, explanation.together
    content = {
        "window": f"{explanation.quantity} at {explanation.layer}",
        "eyebrow": f"{explanation.network} · layer {explanation.layer} · {explanation.quantity}",
        "title": explanation.answer,
        "lead": " ".join([effects.together_in_words(explanation.quantity), *explanation.cautions]),
        "e": explanation,
        "noun": explanation.display.noun,
        "table": _table(explanation),
        "referenced": any(row.unit.reference is not None for row in explanation.units),
        "effects": effects,
        "stage": explanation.display.stage(seen, _together(explanation)),
        "strip": _strip(explanation),
        "measures": ["maps", "estimate" if effects.in_its_units else explanation.by, "effect"],
        "tested": effects.agreement_in_words(),
        "overlay": _overlay(explanation),
        "cards": [_card(row, explanation) for row in explanation.units],
        "method": _method(explanation),
        "facts": list(_facts(explanation)),
        "asked": explanation.asked,
        "command": command,
        "caveats": list(_caveats(explanation)),
    }
    return Page(TEMPLATE, content, lambda: _figures(explanation))


def _figures(explanation: Explanation) -> Iterator[tuple[str, Figure]]:
    yield "overview", explanation.plot()
    yield explanation.display.noun, explanation.display.figure()
    both = [row.unit for row in explanation.units] + _others(explanation)
    yield (
        "units",
        maps.unit_bars(
            [unit.name for unit in both],
            [unit.value for unit in both],
            [unit.share for unit in both],
            unit=f"{explanation.by} to {explanation.quantity}",
        ),
    )
    if explanation.overlay is not None:
        for name, figure in explanation.overlay.seen.figures(f"{explanation.overlay.name}"):
            yield f"overlay_{name}", figure
    for i, row in enumerate(explanation.units, start=1):
        measured = f"{explanation.by} of each place to {explanation.shown_by_map(row.unit)}"
        for name, figure in row.seen.figures(measured):
            yield f"unit{i}_{name}", figure


@dataclass(frozen=True)
class _TableRow:
    unit: UnitInfluence
    bar: Bar
    effect: float | None
    says: str


@dataclass(frozen=True, eq=False)
class _Overlay:
    fragment: str
    words: str
    tests: Sequence[tuple[str, float]]


@dataclass(frozen=True, eq=False)
class _Card:
    unit: UnitInfluence
    fragment: str
    examples: Sequence[dict[str, Any]]


def _overlay(explanation: Explanation) -> _Overlay | None:
    overlay = explanation.overlay
    if overlay is None:
        return None
    tests = sorted(overlay.scores.items(), key=lambda item: -item[1])
    fragment = overlay.seen.fragment(explanation.quantity, overlay.name)
    return _Overlay(fragment, overlay.in_words(), tests)


def _together(explanation: Explanation) -> str:
    """Say what the first map of the page shows, and whether its test makes it evidence."""
    count = len(explanation.units)
    words = f"What raises {explanation.quantity}, through {counted(count, 'unit')} together"
    overlay = explanation.overlay
    if overlay is None or UNITS not in overlay.scores:
        return f"{words}."
    score, prior = overlay.scores[UNITS], overlay.scores[PRIOR]
    worth = "" if score > prior else ", so that it is no evidence of where the network looks"
    tested = f"Tested by blurring: {number(score)}, a blob in the middle {number(prior)}{worth}"
    return f"{words}. {tested}."


def _strip(explanation: Explanation) -> list[Cell]:
    """Return a cell for each unit: its map, its estimate, and what its removal did."""
    effects = explanation.effects
    both = (effects.estimates, effects.alone)
    columns = zip(*map(heights, both), strict=True)
    return [
        Cell(
            name=row.unit.name,
            anchor=row.unit.anchor,
            words=f"What raises and lowers {explanation.shown_by_map(row.unit)}",
            image=row.seen.thumbnail(),
            values=[number(values[i]) for values in both],
            columns=column,
            map=row.seen.code(),
        )
        for i, (row, column) in enumerate(zip(explanation.units, columns, strict=True))
    ]


def _others(explanation: Explanation) -> list[UnitInfluence]:
    """Return the units that lower the quantity and aren't among the interpreted ones, upwards."""
    named = {row.unit.index for row in explanation.units}
    return [unit for unit in reversed(explanation.against) if unit.index not in named]


def _table(explanation: Explanation) -> list[_TableRow]:
    units = [row.unit for row in explanation.units] + _others(explanation)
    drawn, rest = bars([unit.share for unit in units]), len(units) - len(explanation.units)
    effects = [*explanation.effects.alone, *[None] * rest]
    says = [p.name for p in explanation.without[: len(explanation.units)]]
    says += [""] * (len(units) - len(says))
    return [
        _TableRow(unit, bar, effect, said)
        for unit, bar, effect, said in zip(units, drawn, effects, says, strict=True)
    ]


def _card(row: InterpretedUnit, explanation: Explanation) -> _Card:
    fragment = row.seen.fragment(explanation.shown_by_map(row.unit), explanation.by)
    return _Card(row.unit, fragment, _examples(row))


def _examples(row: InterpretedUnit) -> list[dict[str, Any]]:
    """Return each example once, with all that it stands out by."""
    shown: dict[int, dict[str, Any]] = {}
    for example in row.examples:
        told = f"{example.kind} {number(example.value)}"
        if example.number not in shown:
            shown[example.number] = {**thumbnail(example), "told": told}
        elif shown[example.number]["told"] != told:
            shown[example.number]["told"] += f", {told}"
    return list(shown.values())


def _method(explanation: Explanation) -> str:
    facts, axis, by = explanation.facts, explanation.units[0].unit.axis, explanation.by
    times = ""
    if by == "contribution":
        times = f", times what its activation is more than {facts['counts_from']}"
    return (
        f"A unit's {by} is the gradient of {explanation.quantity} at the unit, "
        f"averaged over {facts['distribution']}{times}; the {explanation.aggregate} over all that "
        f"belongs to one {axis} is taken with its sign. Its effect is what the quantity loses when "
        f"the unit is removed at the layer, with {explanation.effects.replacement} in its place, "
        "and the network goes on from there. The maps ask the same of the input's places, over "
        f"{facts['maps_over']}, of {_FOCUS[explanation.focus]}."
    )


def _facts(explanation: Explanation) -> Iterator[tuple[str, str]]:
    facts = explanation.facts
    yield "network, layer", f"{explanation.network}, {explanation.layer}"
    yield "units", facts["units"]
    if "basis" in facts:
        yield "concepts", facts["basis"]
    yield "quantity", f"{explanation.quantity} = {number(explanation.value)}"
    yield "inputs", facts["distribution"]
    if facts["points"]:
        yield "points", str(facts["points"])
    if explanation.delta is not None:
        yield "convergence delta", _delta(explanation)
    if (sigma := explanation.display.to_dict().get("sigma")) is not None:
        yield "maps", _smoothing(sigma)
    yield "input", f"{' × '.join(map(str, facts['image']))}, {facts['dtype']}, {facts['device']}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in explanation.asked.versions.items())
    yield "time", f"{explanation.seconds:.1f} s"


def _smoothing(sigma: float) -> str:
    if not sigma:
        return f"not smoothed; {_ENDS}"
    return (
        f"smoothed by a Gaussian of {sigma:.2g} pixels for the figures, masks and regions; the "
        f"saved ones are raw; {_ENDS}"
    )


def _delta(explanation: Explanation) -> str:
    delta = explanation.delta or 0.0
    total = float(explanation.values.double().sum())
    if explanation.aggregate != "sum":
        return f"{number(delta)} (sum of contributions less the change of the quantity)"
    return (
        f"{number(delta)}: the contributions add up to {number(total)}, the quantity changes by "
        f"{number(total - delta)} along the way"
    )


def _caveats(explanation: Explanation) -> Iterator[str]:
    yield (
        f"This is about one {explanation.display.noun}. That a unit looks at a place here doesn't "
        "say what it stands "
        "for elsewhere; examples out of a data set, or a profile over one, say more."
    )
    yield from explanation.cautions
    yield (
        "What takes a removed unit's place may lie far from what the layer ever says, and another "
        "replacement gives another answer: try zero and the mean."
    )
    yield (
        "Shares compare units of this layer only. What flows around the layer, by a skip "
        "connection, isn't counted."
    )
    yield "A map shows which places raise a unit, not which object the unit has learnt to find."

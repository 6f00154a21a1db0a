"""The page of a wrong answer: which units it hung on, and what they looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, Tile, bars, chart
from captum_influence.reports.words import counted
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import charts
from captum_influence.visualization.numbers import number, share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.explanations.counterfactuals.result import Counterfactual

__all__ = ["counterfactual_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_RANKED = {"contribution": "contribution to", "influence": "influence on"}


def counterfactual_page(found: Counterfactual, command: str | None = None) -> Page:
    """Return the page of a wrong answer."""
    content = {
        "window": f"{found.predicted}, not {found.true}, at {found.layer}",
        "eyebrow": f"{found.network} · layer {found.layer} · {found.lead}",
        "title": " ".join(found.sentences[:2]),
        "lead": _lead(found),
        "c": found,
        "answers": _answers(found),
        "scores": _scores(found),
        "tiles": list(_tiles(found)),
        "table": _table(found),
        "intro": _intro(found),
        "estimated": found.effects.in_its_units,
        "effects": list(_effects(found)),
        "wrong": _wrong(found),
        "wrong_rows": list(_wrong_rows(found)),
        "control": _control(found),
        "margins": chart(
            lambda theme: charts.margin_figure(found.flip, theme=theme),
            f"{found.lead} as units are removed",
        ),
        "damage": _damage(found),
        "collateral": _collateral(found),
        "cards": [
            _Card(row.unit, row.seen.fragment(found.shown_by_map(row.unit), found.by))
            for row in found.seen
        ],
        "method": _method(found),
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": list(_caveats(found)),
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


@dataclass(frozen=True)
class _Answer:
    name: str
    note: str
    before: float
    after: float
    chosen: bool


@dataclass(frozen=True)
class _TableRow:
    unit: UnitInfluence
    anchor: str
    bar: Bar
    alone: float
    margin: float


@dataclass(frozen=True)
class _WrongRow:
    name: str
    which: str
    bar: Bar
    units: str
    chosen: bool


@dataclass(frozen=True)
class _Damaged:
    name: str
    before: float
    after: float
    random: float | None


@dataclass(frozen=True, eq=False)
class _Card:
    unit: UnitInfluence
    fragment: str


def _figures(found: Counterfactual) -> Iterator[tuple[str, Figure]]:
    yield "overview", found.plot()
    yield "margins", charts.margin_figure(found.flip)
    if found.display is not None:
        yield found.display.noun, found.display.figure()
    for i, row in enumerate(found.seen, start=1):
        measured = f"{found.by} of each place to {found.shown_by_map(row.unit)}"
        for name, figure in row.seen.figures(measured):
            yield f"unit{i}_{name}", figure


def _answers(found: Counterfactual) -> list[_Answer]:
    notes = {found.predicted: "said", found.true: "true"}
    return [
        _Answer(
            before.name,
            notes.get(before.name, ""),
            before.probability,
            after.probability,
            before.name in notes,
        )
        for before, after in zip(found.before, found.after, strict=True)
    ]


def _scores(found: Counterfactual) -> str:
    chosen = [
        f"{b.name} {number(b.score)} → {number(a.score)}"
        for b, a in zip(found.before, found.after, strict=True)
        if b.name in (found.true, found.predicted)
    ]
    return ", ".join(chosen)


def _tiles(found: Counterfactual) -> Iterator[Tile]:
    if found.controls is not None:
        led = found.controls.away if found.until == "changed" else found.controls.to_true
        to = f"away from {found.predicted}" if found.until == "changed" else f"to {found.true}"
        yield Tile(
            f"{led} of {found.controls.sets}", f"random draws of as many active units lead {to}"
        )
    if found.collateral is not None:
        yield Tile(
            f"{share(found.collateral.before)} → {share(found.collateral.after)}",
            f"of {found.collateral.examples} other inputs are answered right",
        )


def _lead(found: Counterfactual) -> str:
    """Return what follows; where nothing is compared, what else was found."""
    if found.nearer is None:
        return " ".join(found.sentences[2:])
    if found.nearer:
        return "Wrong answers took more units: the truth was nearer, which is not yet a cause."
    return "A wrong answer took no more: this is no evidence that these units caused the mistake."


def _took(units: int, reached: bool) -> str:
    return str(units) if reached else f"over {units}"


def _table(found: Counterfactual) -> list[_TableRow]:
    drawn, seen = bars([unit.share for unit in found.units]), len(found.seen)
    rows = zip(found.units, drawn, found.effects.alone, found.margins[1:], strict=True)
    return [
        _TableRow(unit, f"unit-{i}" if i <= seen else "", bar, alone, margin)
        for i, (unit, bar, alone, margin) in enumerate(rows, start=1)
    ]


def _intro(found: Counterfactual) -> str:
    if not found.reached:
        asked = "became the true one" if found.until == "right" else "changed"
        return f"All that were tried, in the order of removal: the answer never {asked}."
    back = found.tried - len(found.units)
    tried = f"{counted(found.tried, found.axis.name)} were removed until the answer "
    tried += "was right" if found.until == "right" else "changed"
    after = "each turned out to be needed" if not back else f"{back} of them could be put back"
    again = (
        " After each the rest were ranked anew, so a later one needn't stand out by itself."
        if found.search == "greedy"
        else ""
    )
    return f"{tried}, and {after}: none of these can be left out.{again}"


def _effects(found: Counterfactual) -> Iterator[str]:
    if found.units:
        yield found.effects.together_in_words(found.quantity)
    yield found.effects.agreement_in_words()


def _wrong(found: Counterfactual) -> str:
    if found.wrong is None and found.until == "changed":
        return "Any other answer was asked for, so there is no truth to hold against a wrong class."
    if found.wrong is None:
        return "The same search towards wrong classes wasn't made."
    if not found.wrong:
        return "There are two classes, so none is left that is neither said nor true."
    if not found.flipped:
        return f"{found.true} wasn't reached, so there is nothing to compare."
    asked = "The same search was made towards classes that are wrong."
    if found.nearer:
        return f"{asked} The truth took fewer units than each of them. {_not_yet(found)}"
    return (
        f"{asked} One took as few units as the truth, or fewer: the search finds a way to any "
        "answer, not what went wrong."
    )


def _not_yet(found: Counterfactual) -> str:
    """Return why that the truth was nearer is no cause."""
    if any(one.which == "above" for one in found.wrong or ()):
        return "That is not yet a cause: it says how far each was, not what led astray."
    # The class above is the one that is said, so what is left to compare with is behind.
    return (
        "That is not yet a cause: all of these score lower than the truth to begin with, so they "
        "had further to go."
    )


def _wrong_rows(found: Counterfactual) -> Iterator[_WrongRow]:
    if not found.wrong:
        return
    drawn = bars([len(found.units), *(one.units for one in found.wrong)])
    took = _took(len(found.units), found.reached)
    yield _WrongRow(found.true, "the truth", drawn[0], took, chosen=True)
    for one, bar in zip(found.wrong, drawn[1:], strict=True):
        words, took = f"{one.where}, rank {one.rank}", _took(one.units, one.reached)
        yield _WrongRow(one.name, words, bar, took, chosen=False)


def _control(found: Counterfactual) -> str:
    if found.controls is None:
        return "No random units were removed for comparison."
    many = f"{found.controls.sets} sets of {counted(found.controls.size, found.axis.name)}"
    return (
        f"{many}, drawn at random from those that are active on this input, were removed "
        f"instead: {found.controls.to_true} led to {found.true}, {found.controls.away} away from "
        f"{found.predicted}. If many of them had changed the answer, it would say little that "
        "these do."
    )


def _damage(found: Counterfactual) -> str:
    if found.collateral is None:
        return (
            "Not measured: give a loader of correctly answered inputs (from the shell, "
            "--examples) to see what removing these units does to them."
        )
    return (
        f"The same units were removed while {found.collateral.examples} other inputs were "
        "answered. If little is lost, these can be answered without them; if much, the units do "
        "work there that removing them would undo."
    )


def _collateral(found: Counterfactual) -> list[_Damaged]:
    loss = found.collateral
    if loss is None:
        return []
    rows = [_Damaged(f"all {loss.examples} inputs", loss.before, loss.after, loss.random)]
    if loss.of_predicted:
        name = f"the {loss.of_predicted} of {found.predicted}"
        rows.append(_Damaged(name, loss.predicted_before, loss.predicted_after, None))
    return rows


def _method(found: Counterfactual) -> str:
    times = ", times what removing them changes" if found.by == "contribution" else ""
    ranked = f"Units of {found.layer} are ranked by {_RANKED[found.by]} {found.quantity}: "
    influence = f"their influence on it at {found.facts['distribution']}{times}. "
    if found.facts["points"] != 1:
        influence = f"their influence on it, averaged over {found.facts['distribution']}{times}. "
    steps = {
        "greedy": "The first is removed, the rest are ranked anew at the activations that are "
        "left, and so on until the network, run on from there, answers as asked; then units are "
        "put back, one by one, as long as it does.",
        "prefix": "The network is then run without the first 1, 2, 3, ... of them until it answers "
        "as asked, and units are put back, one by one, as long as it does.",
    }
    return f"{ranked}{influence}{steps[found.search]} What is reported was run, not predicted."


def _facts(found: Counterfactual) -> Iterator[tuple[str, str]]:
    facts = found.facts
    yield "network, layer", f"{found.network}, {found.layer}"
    yield "units", found.axis.in_words()
    asked = f"the answer is {found.true}" if found.until == "right" else "any other answer"
    yield "asked", asked
    yield "ranked by", f"{found.by}, {found.quantity}"
    yield "search", found.search
    yield "inputs", facts["distribution"]
    yield "units tried", f"at most {facts['max_units']}"
    yield "put in their place", facts["replace"]
    yield "lead", f"{number(found.margins[0])} before, {number(found.margins[-1])} after"
    yield "seed", str(facts["seed"])
    yield "input", f"{' × '.join(map(str, facts['image']))}, {facts['dtype']}, {facts['device']}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())
    yield "time", f"{found.seconds:.1f} s"


def _caveats(found: Counterfactual) -> Iterator[str]:
    yield (
        "That the answer hung on these units doesn't make them its cause, nor faulty: a network "
        "that hesitates is moved by little. The wrong classes, the random sets and the damage say "
        "which it was."
    )
    yield "A smaller set of other units may exist; of these, none is too many."
    if found.margins[0] < 1:
        yield (
            f"{found.predicted} leads {found.true} by only {number(found.margins[0])} here: little "
            "was needed."
        )
    yield "A removed unit is set to a value that it may never have taken in training."
    if found.seen:
        yield (
            "The maps show what of this input counts through a unit, not what the unit has learnt "
            "to find."
        )

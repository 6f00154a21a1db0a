"""The page of one prompt: why a language model said what it said about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from captum_influence.explanations.texts.patched import PatchedUnits
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, bars
from captum_influence.units.prompts.spoken import PromptUnit
from captum_influence.visualization.labelled import grids_figure
from captum_influence.visualization.maps import unit_bars
from captum_influence.visualization.numbers import beside, number
from captum_influence.visualization.style import limit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.explanations.texts.result import TextExplanation

__all__ = ["text_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_TITLES = {"token": "The tokens", "head": "The heads", "neuron": "The neurons"}


@dataclass(frozen=True)
class _Cell:
    """A number on a coloured ground: ``shade`` is how strong the colour is, from 0 to 1."""

    text: str
    value: str
    shade: float
    minus: bool


@dataclass(frozen=True)
class _Line:
    name: str
    cells: Sequence[_Cell]


@dataclass(frozen=True)
class _Unit:
    unit: PromptUnit
    where: str
    bar: Bar


@dataclass(frozen=True)
class _First:
    unit: PromptUnit
    bar: Bar
    chance: str


@dataclass(frozen=True)
class _Part:
    title: str
    found: PatchedUnits
    rows: Sequence[_Unit]
    sentences: Sequence[str]


def text_page(explanation: TextExplanation, command: str | None = None) -> Page:
    """Return the page of an explanation."""
    tokens, heads = explanation.grids()
    content = {
        "window": f"{explanation.quantity}: {explanation.prompt}",
        "eyebrow": f"{explanation.network} · {explanation.quantity}",
        "title": explanation.answer,
        "lead": "",
        "first": _first(explanation),
        "e": explanation,
        "tokens": _coloured(explanation),
        "map": _lines(tokens.values, tokens.rows),
        "totals": [(number(total), number(true)) for _, total, true in explanation.totals],
        "heads": _lines(heads.values, heads.rows),
        "parts": [_part(found, explanation) for found in explanation.patched],
        "method": _method(explanation),
        "facts": list(_facts(explanation)),
        "asked": explanation.asked,
        "command": command,
        "caveats": list(_caveats(explanation)),
    }
    return Page(TEMPLATE, content, lambda: _figures(explanation))


def _figures(explanation: TextExplanation) -> Iterator[tuple[str, Figure]]:
    unit = f"contribution to {explanation.quantity}"
    yield "overview", explanation.plot()
    for name, grid in zip(("tokens", "heads"), explanation.grids(), strict=True):
        yield name, grids_figure([grid], unit=unit)
    for found in explanation.patched:
        names = [unit.name for unit in found.units]
        effects = [unit.effect for unit in found.units]
        yield f"{found.kind}s_replaced", unit_bars(names, effects, unit=f"effect on {unit}")


def _coloured(explanation: TextExplanation) -> list[_Cell]:
    values = explanation.map[:, 0]
    return [
        _cell(value, limit(values), text.strip("'\""))
        for text, value in zip(explanation.tokens, values.tolist(), strict=True)
    ]


def _first(explanation: TextExplanation) -> list[_First]:
    """The first unit of each kind, beside what one drawn at random does."""
    units = [found.units[0] for found in explanation.patched]
    chances = [f"± {number(f.random_alone)}" if f.count > 1 else "" for f in explanation.patched]
    drawn = bars([unit.effect for unit in units])
    return [_First(*row) for row in zip(units, drawn, chances, strict=True)]


def _lines(values: Tensor, names: Sequence[str]) -> list[_Line]:
    """Return the rows of a map; those in which nothing happens are one."""
    end, most = limit(values), float(values.nan_to_num().abs().max())
    lines = [
        _Line(name, [_cell(value, end, most=most) for value in row])
        for name, row in zip(names, values.tolist(), strict=True)
    ]
    idle = [line for line in lines if all(cell.value in ("0", "–") for cell in line.cells)]
    if len(idle) < 2:
        return lines
    rest = _Line(f"{len(idle)} others", idle[0].cells)
    return [*(line for line in lines if line not in idle), rest]


def _cell(value: float, end: float, text: str = "", most: float | None = None) -> _Cell:
    known = value if value == value else 0.0
    shade = round(0.75 * min(abs(known) / end, 1.0), 3)
    shown = number(value) if most is None or value != value else beside(value, most)
    return _Cell(text, shown, shade, known < 0)


def _part(found: PatchedUnits, explanation: TextExplanation) -> _Part:
    drawn = bars([unit.effect for unit in found.units])
    rows = [
        _Unit(unit, explanation.tokens[unit.at], bar)
        for unit, bar in zip(found.units, drawn, strict=True)
    ]
    said = (found.together_in_words(explanation.quantity), found.agreement_in_words())
    return _Part(_TITLES[found.kind], found, rows, [sentence for sentence in said if sentence])


def _method(explanation: TextExplanation) -> str:
    less = "" if explanation.against is None else " less what it is in the other prompt"
    return (
        f"A contribution is the gradient of {explanation.quantity} at an activation, over "
        f"{explanation.facts['distribution']}, times the activation{less}; it is added up over "
        "all that belongs to a token, a head or a neuron, with its sign. Its effect is what the "
        f"quantity loses when the unit is replaced, with {explanation.replacement} in its place, "
        "at every position, and the network goes on from there. What a head or a neuron speaks "
        "for: what it adds to the stream, where its contribution is largest, is taken away from "
        "the last block's output; these tokens' scores fall most."
    )


def _facts(explanation: TextExplanation) -> Iterator[tuple[str, str]]:
    facts = explanation.facts
    yield "network", explanation.network
    yield "quantity", f"{explanation.quantity} = {number(explanation.value)}"
    yield "prompt", explanation.prompt
    if explanation.against is not None:
        yield "other prompt", explanation.against
    yield "activations", facts["distribution"]
    yield "tokens", f"{len(explanation.tokens)}, {facts['dtype']}, {facts['device']}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in explanation.asked.versions.items())
    yield "time", f"{explanation.seconds:.1f} s"


def _caveats(explanation: TextExplanation) -> Iterator[str]:
    yield (
        "This is about one prompt: what a head does in others, a profile over many prompts says."
    )
    if explanation.against is None:
        yield (
            "Zero is not what a unit says when it has nothing to say: compare with another prompt, "
            "against=, which asks what the difference between the two does."
        )
    else:
        yield (
            "What both prompts share is not seen: a token or a head that says the same in both has "
            "no contribution, however much the answer needs it."
        )
    yield explanation.sum_in_words()
    yield (
        "Units work together, and stand in for one another: the effects of single ones don't add "
        "up to that of all."
    )

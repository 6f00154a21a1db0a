"""The page of one picture: why the network said what it said about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_influence import attr
from captum_influence.explanations.thumbnails import Shown, shown
from captum_influence.reports.page import Figures, Page, number
from captum_influence.reports.parts import Bar, bars, embedded, is_smooth
from captum_influence.units.interpreted import Example, InterpretedUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import maps

if TYPE_CHECKING:
    from captum_influence.explanations.instances.result import Explanation

__all__ = ["explanation_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_PAIR = re.compile(r"^ClassScore\((\d+)\)(?: - ClassScore\((\d+)\))?$")
_FOCUS = {
    "quantity": "what each unit passes on: its entries, each weighed by its own influence",
    "unit": "each unit itself",
}
_ENDS = "the largest 0.5 % of values share the colours at the ends of the scale"


def explanation_page(explanation: Explanation, command: str | None = None) -> Page:
    """Return the page of an explanation."""
    title, lead = _title(explanation)
    content = {
        "window": f"{explanation.quantity} at {explanation.layer}",
        "eyebrow": f"{explanation.network} · layer {explanation.layer} · {explanation.quantity}",
        "title": title,
        "lead": lead,
        "e": explanation,
        "picture": embedded(explanation.picture, 120),
        "table": _table(explanation),
        "referenced": any(row.unit.reference is not None for row in explanation.units),
        "cards": [_card(row, explanation) for row in explanation.units],
        "percent_kept": f"{100 - explanation.settings['percentile']:g} %",
        "method": _method(explanation),
        "facts": list(_facts(explanation)),
        "python": f'{_imports(explanation)}\n\n{explanation.call}.to_html("report.html")',
        "commanded": command is not None,
        "command": command or _suggested(explanation),
        "caveats": list(_caveats(explanation)),
    }
    return Page(TEMPLATE, content, _drawing(explanation))


def _drawing(explanation: Explanation) -> Figures:
    return lambda: _figures(explanation)


def _figures(explanation: Explanation) -> Iterator[tuple[str, Any]]:
    picture, by = explanation.picture, explanation.settings["by"]
    yield "overview", explanation.plot()
    yield "picture", maps.picture_figure(picture)
    both = [row.unit for row in explanation.units] + _others(explanation)
    yield (
        "units",
        maps.unit_bars(
            [unit.name for unit in both],
            [unit.value for unit in both],
            [unit.share for unit in both],
            unit=f"{by} to {explanation.quantity}",
        ),
    )
    for i, row in enumerate(explanation.units, start=1):
        unit = f"{by} of each pixel to {explanation.shown_by_map(row.unit)}"
        yield f"unit{i}_heat", maps.heat_map(row.heat, picture, unit=unit)
        yield f"unit{i}_mask", maps.mask_outline(row.mask, picture, box=row.box)
        if row.crop is not None:
            crop = maps.picture_figure(row.crop, smooth=is_smooth(picture))
            yield f"unit{i}_crop", crop


@dataclass(frozen=True)
class _TableRow:
    unit: UnitInfluence
    anchor: str
    bar: Bar


@dataclass(frozen=True, eq=False)
class _ExampleRow:
    title: str
    examples: Sequence[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Card:
    unit: UnitInfluence
    shown: Shown
    subject: str
    examples: Sequence[_ExampleRow]


def _title(explanation: Explanation) -> tuple[str, str]:
    """Split the headline after its first sentence."""
    first, _, rest = explanation.headline.partition(". ")
    return (f"{first}.", rest) if rest else (explanation.headline, "")


def _others(explanation: Explanation) -> list[UnitInfluence]:
    """Return the units that lower the quantity and aren't among the interpreted ones, upwards."""
    named = {row.unit.index for row in explanation.units}
    return [unit for unit in reversed(explanation.against) if unit.index not in named]


def _table(explanation: Explanation) -> list[_TableRow]:
    units = [row.unit for row in explanation.units] + _others(explanation)
    drawn, interpreted = bars([unit.share for unit in units]), len(explanation.units)
    return [
        _TableRow(unit, f"unit-{i}" if i <= interpreted else "", bar)
        for i, (unit, bar) in enumerate(zip(units, drawn, strict=True), start=1)
    ]


def _card(row: InterpretedUnit, explanation: Explanation) -> _Card:
    return _Card(
        row.unit,
        shown(row, explanation.picture),
        explanation.shown_by_map(row.unit),
        [_example_row(kind, list(group), explanation) for kind, group in _by_kind(row)],
    )


def _by_kind(row: InterpretedUnit) -> Iterator[tuple[str, Iterator[Example]]]:
    yield from groupby(row.examples, key=lambda example: example.kind)


def _example_row(kind: str, examples: Sequence[Example], explanation: Explanation) -> _ExampleRow:
    titles = {"activation": "Where else it is most active"}
    title = titles.get(kind, f"Where else it does most for {explanation.quantity}")
    smooth = is_smooth(explanation.picture)
    found = [
        {
            "image": embedded(example.image, 40, smooth=smooth),
            "number": example.number,
            "label": example.label_name,
            "value": example.value,
            "crop": None if example.crop is None else embedded(example.crop, 40, smooth=smooth),
        }
        for example in examples
    ]
    return _ExampleRow(title, found)


def _method(explanation: Explanation) -> str:
    settings, facts, axis = explanation.settings, explanation.facts, explanation.units[0].unit.axis
    times = ""
    if settings["by"] == "contribution":
        times = ", times how far its activation moved from where the path starts"
    return (
        f"A unit's {settings['by']} is the gradient of {explanation.quantity} at the unit, "
        f"averaged over {facts['distribution']}{times}; the {settings['aggregate']} over all that "
        f"belongs to one {axis} is taken with its sign. The maps ask the same at the "
        f"pixels, added over colours, of {_FOCUS[settings['focus']]}."
    )


def _facts(explanation: Explanation) -> Iterator[tuple[str, str]]:
    settings, facts = explanation.settings, explanation.facts
    yield "network, layer", f"{explanation.network}, {explanation.layer}"
    yield "quantity", f"{explanation.quantity} = {number(explanation.value)}"
    yield "inputs", facts["distribution"]
    if facts["points"]:
        yield "points", str(facts["points"])
    if explanation.delta is not None:
        yield "convergence delta", _delta(explanation)
    yield "maps", _smoothing(settings["smoothing"])
    yield "image", f"{' × '.join(map(str, facts['image']))}, {facts['dtype']}, {facts['device']}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in explanation.versions.items())
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
    if explanation.settings["aggregate"] != "sum":
        return f"{number(delta)} (sum of contributions less the change of the quantity)"
    return (
        f"{number(delta)}: the contributions add up to {number(total)}, the quantity changes by "
        f"{number(total - delta)} along the way"
    )


def _imports(explanation: Explanation) -> str:
    """Return the imports that the Python call needs."""
    names = sorted(set(attr.__all__) & set(re.findall(r"[A-Za-z]+", explanation.call)))
    inner = f"from captum_influence.attr import {', '.join(names)}" if names else ""
    return "\n".join(["from captum_influence import explain", inner]).strip()


def _suggested(explanation: Explanation) -> str:
    settings = explanation.settings
    words = ["captum-influence explain --model MODEL --weights WEIGHTS --image IMAGE \\\n   "]
    words.append(f"--layer {explanation.layer} --top {settings['top']} --by {settings['by']}")
    asked = _PAIR.match(str(settings["quantity"]))
    for flag, value in zip(("--target", "--versus"), asked.groups() if asked else (), strict=False):
        words += [f"{flag} {value}"] if value else []
    return " ".join(words)


def _caveats(explanation: Explanation) -> Iterator[str]:
    yield (
        "This is about one picture. That a unit looks at a place here doesn't say what it stands "
        "for elsewhere; examples out of a data set, or a profile over one, say more."
    )
    yield (
        "Influence is a gradient, averaged. It tells what small changes would do, not what happens "
        "when a unit is removed: that takes an intervention."
    )
    if explanation.settings["by"] == "contribution":
        yield (
            "Contributions count from where the path starts. Another start gives another answer: "
            "pick one that means “nothing” to this network."
        )
    yield (
        "Shares compare units of this layer only. What flows around the layer, by a skip "
        "connection, isn't counted."
    )
    yield "A map shows which pixels raise a unit, not which object the unit has learnt to find."

"""The page of several layers: their units in one order, and what each looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, Cell, bars
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import maps
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.explanations.instances.layers.result import LayerExplanations

__all__ = ["layers_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")


def layers_page(found: LayerExplanations, command: str | None = None) -> Page:
    """Return the page of several layers."""
    first = found.first
    said, _, rest = found.headline.partition(". ")
    content = {
        "window": f"{first.quantity} at {len(found.layers)} layers",
        "eyebrow": f"{first.network} · layers {', '.join(found.layers)} · {first.quantity}",
        "title": f"{said}." if rest else found.headline,
        "lead": rest,
        "f": found,
        "e": first,
        "noun": first.display.noun,
        "table": _table(found),
        "strip": _strip(found),
        "cards": [
            _Card(row.unit, row.seen.fragment(_subject(found, row.unit), first.by))
            for row in found.units
        ],
        "layers": _layers(found),
        "share_of": f"its layer's {first.by}s" if found.change is None else "the way",
        "method": _method(found),
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": list(_caveats(found)),
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


@dataclass(frozen=True)
class _TableRow:
    unit: UnitInfluence
    anchor: str
    bar: Bar
    effect: float


@dataclass(frozen=True)
class _Layer:
    name: str
    units: int
    first: UnitInfluence
    total: float
    delta: float | None
    agreement: float | None


@dataclass(frozen=True, eq=False)
class _Card:
    unit: UnitInfluence
    fragment: str


def _subject(found: LayerExplanations, unit: UnitInfluence) -> str:
    return found.first.shown_by_map(unit)


def _figures(found: LayerExplanations) -> Iterator[tuple[str, Figure]]:
    first, units = found.first, [row.unit for row in found.units]
    yield "overview", found.plot()
    yield first.display.noun, first.display.figure()
    yield (
        "units",
        maps.unit_bars(
            [unit.name for unit in units],
            [unit.value for unit in units],
            [unit.share for unit in units],
            unit=f"{first.by} to {first.quantity}",
        ),
    )
    for i, row in enumerate(found.units, start=1):
        measured = f"{first.by} of each place to {_subject(found, row.unit)}"
        for name, figure in row.seen.figures(measured):
            yield f"unit{i}_{name}", figure


def _table(found: LayerExplanations) -> list[_TableRow]:
    units = [row.unit for row in found.units]
    drawn = bars([unit.share for unit in units])
    rows = enumerate(zip(units, drawn, found.effects, strict=True), start=1)
    return [_TableRow(unit, f"unit-{i}", bar, effect) for i, (unit, bar, effect) in rows]


def _strip(found: LayerExplanations) -> list[Cell]:
    """Return a cell for each unit: its map, and what its removal did."""
    return [
        Cell(
            name=row.unit.name,
            anchor=f"unit-{i}",
            words=f"What raises and lowers {_subject(found, row.unit)}",
            image=row.seen.thumbnail(),
            values=[number(effect)],
            columns=(),
        )
        for i, (row, effect) in enumerate(zip(found.units, found.effects, strict=True), start=1)
    ]


def _layers(found: LayerExplanations) -> list[_Layer]:
    return [
        _Layer(
            name,
            one.values.numel(),
            one.units[0].unit,
            float(one.values.double().sum()),
            one.delta,
            one.effects.agreement,
        )
        for name, one in found.layers.items()
    ]


def _method(found: LayerExplanations) -> str:
    first, of = found.first, "its layer's sum of absolute values"
    if found.change is not None:
        of = f"how far {first.quantity} moves along the way, {number(found.change)}"
    counted = f", times what its activation is more than {first.facts['counts_from']}"
    times = counted if first.by == "contribution" else ""
    return (
        f"Each layer was asked alone: a unit's {first.by} is the gradient of {first.quantity} at "
        f"the unit, averaged over {first.facts['distribution']}"
        f"{times}. Its effect is what the quantity loses when it is removed at the layer, with "
        f"{first.effects.replacement} in its place. Shares are of {of}."
    )


def _facts(found: LayerExplanations) -> Iterator[tuple[str, str]]:
    first = found.first
    facts = first.facts
    yield "network, layers", f"{first.network}, {', '.join(found.layers)}"
    yield "quantity", f"{first.quantity} = {number(first.value)}"
    yield "inputs", facts["distribution"]
    if facts["points"]:
        yield "points", str(facts["points"])
    yield "input", f"{' × '.join(map(str, facts['image']))}, {facts['dtype']}, {facts['device']}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())
    yield "time", f"{found.seconds:.1f} s"


def _caveats(found: LayerExplanations) -> Iterator[str]:
    yield (
        "Shares of different layers don't add up: what passes through one layer and then the next "
        "is counted in both. What units of several layers do together, removing them tells."
    )
    yield from found.cautions
    if found.change is None:
        yield "Shares are of each unit's own layer: a layer of few units has large ones."
    yield f"This is about one {found.first.display.noun}."

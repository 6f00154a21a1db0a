"""The page of a ranking: the units of a layer, or of several, in the order of what they did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, bars
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import maps, strips
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.units.result import Ranking, UnitOrder

__all__ = ["ranking_figure", "ranking_page", "share_figure"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_DRAWN = 16  # units of a figure, and of the table
_AGAINST = 4  # of those that lower the quantity
_GRADIENTS = ("influence", "contribution", "conductance")  # how their measures begin


@dataclass(frozen=True)
class _Row:
    unit: UnitInfluence
    bar: Bar
    error: float


@dataclass(frozen=True)
class _Layer:
    name: str
    units: int
    first: UnitInfluence
    total: float


def ranking_page(
    found: UnitOrder, command: str | None = None, layers: Mapping[str, Ranking] | None = None
) -> Page:
    """Return the page of a ranking; of several layers, they are compared."""
    title, _, lead = found.headline.partition(". ")
    shown = _shown(found)
    content = {
        "window": f"Units by {found.measure}",
        "eyebrow": _eyebrow(found, layers),
        "title": f"{title}." if lead else title,
        "lead": lead,
        "r": found,
        "table": _table(shown),
        "left_out": max(0, len(found.units) - _DRAWN),
        "activated": any(unit.activation is not None for unit in shown),
        "referenced": any(unit.reference is not None for unit in shown),
        "with_errors": _has_errors(shown),
        "layers": _layers(layers or {}),
        "method": _method(found),
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": list(_caveats(found, layers)),
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def ranking_figure(found: UnitOrder, theme: Theme = LIGHT) -> Figure:
    """Draw the first units, and those that lower the quantity most: with errors, or with shares."""
    shown = _shown(found)
    if _has_errors(shown):
        drawn = [strips.Strip(unit.name, unit.value, _error(unit)) for unit in shown]
        return strips.error_bars(drawn, unit=f"mean {found.measure}", theme=theme)
    names, values = [unit.name for unit in shown], [unit.value for unit in shown]
    shares = [unit.share for unit in shown]
    return maps.unit_bars(names, values, shares, unit=found.measure, theme=theme)


def share_figure(found: UnitOrder, theme: Theme = LIGHT) -> Figure:
    """Draw the shares of units whose values aren't comparable, as those of several layers."""
    shown = _shown(found)
    names, shares = [unit.name for unit in shown], [unit.share for unit in shown]
    return maps.unit_bars(names, shares, shares, unit=f"share of {found.whole}", theme=theme)


def _figures(found: UnitOrder) -> Iterator[tuple[str, Figure]]:
    yield "units", found.plot()


def _shown(found: UnitOrder) -> list[UnitInfluence]:
    """Return the first units and then, upwards, those that lower the quantity most."""
    first = list(found.units[:_DRAWN])
    named = {(unit.layer, unit.index) for unit in first}
    against = [u for u in found.against(_AGAINST) if (u.layer, u.index) not in named]
    return [*first, *reversed(against)]


def _has_errors(shown: Sequence[UnitInfluence]) -> bool:
    return any(unit.standard_error is not None for unit in shown)


def _error(unit: UnitInfluence) -> float:
    return nan if unit.standard_error is None else unit.standard_error


def _eyebrow(found: UnitOrder, layers: Mapping[str, Ranking] | None) -> str:
    places = list(layers or {}) or [str(found.facts[k]) for k in ("layer",) if k in found.facts]
    network = [str(found.facts["network"])] if "network" in found.facts else []
    layer = [f"layer{'s' * (len(places) > 1)} {', '.join(places)}"] if places else []
    return " · ".join([*network, *layer, found.measure])


def _table(shown: Sequence[UnitInfluence]) -> list[_Row]:
    drawn = bars([unit.share for unit in shown])
    return [_Row(unit, bar, _error(unit)) for unit, bar in zip(shown, drawn, strict=True)]


def _layers(layers: Mapping[str, Ranking]) -> list[_Layer]:
    return [
        _Layer(name, one.values.numel(), one.units[0], float(one.values.double().sum()))
        for name, one in layers.items()
    ]


def _method(found: UnitOrder) -> str:
    over, ends = found.facts.get("distribution"), ""
    if found.facts.get("ends") == "both":
        ends = ", in turn from both ends: the highest, the lowest, the second highest, ..."
    return (
        f"Units are ordered by their {found.measure}"
        f"{f', the gradient averaged over {over}' if over else ''}{ends}. What a unit's entries "
        "did is pooled with its sign, and averaged over the examples. A unit's share is its value "
        f"over {found.whole}."
    )


def _facts(found: UnitOrder) -> Iterator[tuple[str, str]]:
    for name, value in found.facts.items():
        yield name, str(value)
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())


def _caveats(found: UnitOrder, layers: Mapping[str, Ranking] | None) -> Iterator[str]:
    if layers:
        yield (
            "Shares of different layers don't add up: what passes through one layer and then the "
            "next is counted in both. What units of several layers do together, removing them "
            "tells."
        )
    if found.measure.startswith(_GRADIENTS):
        yield (
            "Influence is a gradient, averaged. It tells what small changes would do, not what "
            "happens when a unit is removed: that takes an intervention."
        )
    if _has_errors(found.units):
        yield (
            "A standard error says how far a mean may be from that over more examples of the same "
            "kind. The largest of many means is, by chance, larger than it would be again on "
            "others."
        )
    yield "That a unit ranks high doesn't say what it stands for."

"""The page of a profile: which units each group rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_influence.attr.profile.one_pass import Group
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, Chart, bars, chart
from captum_influence.visualization.style import (
    BLUE,
    LIGHT,
    ORANGE,
    Theme,
    draw_title,
    empty_figure,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from captum_influence.attr.profile.result import InfluenceProfile, UnitStatistic

__all__ = ["profile_figure", "profile_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_DRAWN = 12  # groups: more, and a figure can't be read
_ACROSS = 4
_TABLED = 100  # groups of a table
_TOP = 5  # units of a row

_CAVEATS = (
    "A standard error says how far the mean may be from that over more examples of the same kind. "
    "It knows nothing of other data.",
    "Many units are compared: the largest of many means is, by chance, larger than it would be "
    "again on other examples.",
    "Sizes are comparable within a layer, not from layer to layer.",
    "Influence is a gradient, averaged. It tells what small changes would do, not what happens "
    "when a unit is removed: that takes an intervention.",
)


@dataclass(frozen=True, eq=False)
class _Section:
    """One layer and one quantity."""

    title: str
    figure: Chart
    rows: Sequence[tuple[Group, int, Sequence[UnitStatistic]]]


@dataclass(frozen=True, eq=False)
class _Row:
    """A group and a unit that it rests on."""

    group: Group
    count: int
    unit: UnitStatistic
    bar: Bar


def profile_page(profile: InfluenceProfile, command: str | None = None) -> Page:
    """Return the page of a profile."""
    facts = profile.facts
    layer, quantity = _answering(profile)
    content = {
        "window": f"{facts['measure']}s at {', '.join(profile.layers)}",
        "eyebrow": f"{', '.join(profile.layers)} · {', '.join(facts['quantities'])}",
        "title": profile.headline,
        "lead": "",
        "rows": _rows(profile, layer, quantity),
        "layer": profile.layers[layer],
        "asks": f"{profile.measure} {facts['quantities'][quantity]}",
        "sections": list(_sections(profile)),
        "measure": facts["measure"],
        "drawn": min(_DRAWN, len(profile.groups)),
        "tabled": min(_TABLED, len(profile.groups)),
        "groups": len(profile.groups),
        "method": _method(facts),
        "facts": list(_facts(profile)),
        "asked": profile.asked,
        "command": command,
        "caveats": _CAVEATS,
    }
    return Page(TEMPLATE, content, lambda: _figures(profile))


def _method(facts: Mapping[str, Any]) -> str:
    times = ""
    if facts["measure"] == "contribution":
        times = f", times how far its activation lies from {facts['counts_from']}"
    return (
        f"Each example was asked about {' and '.join(facts['quantities'])}. A unit's "
        f"{facts['measure']} is its gradient, averaged over {facts['distribution']}{times}; the "
        f"{facts['aggregate']} over its places is taken. Means, and their standard errors, are "
        "over the examples of a group, all from one pass."
    )


def _facts(profile: InfluenceProfile) -> Iterator[tuple[str, str]]:
    yield "layers", ", ".join(profile.layers)
    yield "quantities", ", ".join(profile.facts["quantities"])
    yield "inputs", profile.facts["distribution"]
    yield "groups", f"{len(profile.groups)}, by {profile.facts['group_by']}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in profile.asked.versions.items())


def _answering(profile: InfluenceProfile) -> tuple[int, int]:
    """Return the layer and the quantity that the headline is about."""

    def largest(cell: tuple[int, int]) -> float:
        where: dict[str, Any] = {"layer": cell[0], "quantity": cell[1]}
        return max(profile.top(1, group, **where)[0].mean for group in profile.groups)

    return max(product(range(len(profile.layers)), range(profile.quantities)), key=largest)


def _rows(profile: InfluenceProfile, layer: int, quantity: int) -> list[_Row]:
    """Return the first unit of each group, or the first few of a single one."""
    groups = profile.groups[:_DRAWN]
    each = 1 if len(groups) > 1 else _TOP
    found = [
        (group, unit)
        for group in groups
        for unit in profile.top(each, group, layer=layer, quantity=quantity)
    ]
    drawn = bars([unit.mean for _, unit in found])
    return [
        _Row(group, profile.count(group), unit, bar)
        for (group, unit), bar in zip(found, drawn, strict=True)
    ]


def _sections(profile: InfluenceProfile) -> Iterator[_Section]:
    for layer, name in enumerate(profile.layers):
        for quantity, words in enumerate(profile.facts["quantities"]):
            where: dict[str, Any] = {"layer": layer, "quantity": quantity}

            def draw(theme: Theme, where: dict[str, Any] = where) -> Figure:
                return profile_figure(profile, theme=theme, **where)

            yield _Section(
                f"{name}: {words}",
                chart(draw, f"Units of {name} with the largest mean {profile.measure} {words}"),
                [
                    (group, profile.count(group), profile.top(_TOP, group, **where))
                    for group in profile.groups[:_TABLED]
                ],
            )


def _figures(profile: InfluenceProfile) -> Iterator[tuple[str, Figure]]:
    for layer in range(len(profile.layers)):
        for quantity in range(profile.quantities):
            name = f"layer{layer + 1}"
            name += f"_quantity{quantity + 1}" if profile.quantities > 1 else ""
            yield name, profile_figure(profile, layer=layer, quantity=quantity)


def profile_figure(
    profile: InfluenceProfile,
    k: int = 8,
    *,
    layer: int | str = 0,
    quantity: int = 0,
    groups: Sequence[Group] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw each group's k top units, with their standard errors.

    Args:
        profile: of which data.
        k: how many units of each group.
        layer: by name or place.
        quantity: by place.
        groups: which ones; empty: the first dozen.
        theme: colours of text and paper.
    """
    chosen = tuple(groups) or profile.groups[:_DRAWN]
    across, down = min(len(chosen), _ACROSS), -(-len(chosen) // _ACROSS)
    figure = empty_figure(2.6 * across, (0.32 * k + 1.2) * down, theme)
    for place, group in enumerate(chosen, start=1):
        axes = figure.add_subplot(down, across, place)
        units = profile.top(k, group, layer=layer, quantity=quantity)
        _draw(units, axes, theme)
        draw_title(axes, f"{group} (n = {profile.count(group)})", theme)
        axes.set_xlabel(f"mean {profile.facts['measure']}", fontsize=9, color=theme.ink)
        if place % across == 1 or across == 1:
            axes.set_ylabel("unit", fontsize=9, color=theme.ink)
    return figure


def _draw(units: Sequence[UnitStatistic], axes: Axes, theme: Theme) -> None:
    places, means = range(len(units)), [unit.mean for unit in units]
    known = [0.0 if isnan(unit.standard_error) else unit.standard_error for unit in units]
    axes.barh(places, means, color=[ORANGE if mean >= 0 else BLUE for mean in means])
    axes.errorbar(means, places, xerr=known, fmt="none", ecolor=theme.ink, capsize=2)
    axes.axvline(0, color=theme.ink, linewidth=0.8)
    axes.set_yticks(places, [str(unit.index) for unit in units])
    axes.invert_yaxis()
    plain_axes(axes, theme)

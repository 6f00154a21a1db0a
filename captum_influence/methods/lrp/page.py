"""The page of relevance: where the score went, layer by layer, and what got lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import data_uri, embedded
from captum_influence.reports.words import counted
from captum_influence.visualization import maps
from captum_influence.visualization.grids import plane_of
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.methods.lrp.result import Relevance

__all__ = ["relevance_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_EXAMPLE = 0  # which of several is drawn


def relevance_page(found: Relevance, command: str | None = None) -> Page:
    """Return the page of relevance; of several examples, the first one is drawn."""
    several = len(found.output) > 1
    content = {
        "window": f"Relevance of {found.quantity}",
        "eyebrow": f"{found.network} · {found.quantity}",
        "title": found.headline,
        "lead": f"The first of {counted(len(found.output), 'input')} is drawn." if several else "",
        "picture": embedded(found.pictures[_EXAMPLE], 120) if found.pictures else None,
        "maps": _maps(found),
        "places": _places(found),
        "rules": _rules(found),
        "method": _method(found),
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": list(_caveats(found)),
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


@dataclass(frozen=True)
class _Map:
    """Relevance at one place, ready for the page."""

    name: str
    image: str
    limit: float


@dataclass(frozen=True)
class _Place:
    """A row: how much arrives at a place, over all examples."""

    name: str
    shape: str
    total: float
    error: float


def _figures(found: Relevance) -> Iterator[tuple[str, Figure]]:
    yield "overview", found.plot()
    if found.pictures:
        yield "picture", maps.picture_figure(found.pictures[_EXAMPLE])


def _maps(found: Relevance) -> list[_Map]:
    picture = found.pictures[_EXAMPLE] if found.pictures else None
    drawn = []
    for name, values in found.relevances.items():
        plane = plane_of(values[_EXAMPLE])
        beneath = picture if name == "input" else None
        image = data_uri(maps.heat_map(plane, beneath, unit=None), 60)
        drawn.append(_Map(name, image, maps.limit(plane)))
    return drawn


def _places(found: Relevance) -> list[_Place]:
    return [
        _Place(
            name=name,
            shape=" × ".join(map(str, values.shape[1:])),
            total=float(values[_EXAMPLE].double().sum()),
            error=float(found.error_at(name)[_EXAMPLE]),
        )
        for name, values in found.relevances.items()
    ]


def _rules(found: Relevance) -> list[tuple[str, str]]:
    """Return each rule once, with the modules that it is that of."""
    modules: dict[str, list[str]] = {}
    for name, rule in found.rules.items():
        modules.setdefault(str(rule), []).append(name)
    return [(rule, ", ".join(names)) for rule, names in modules.items()]


def _method(found: Relevance) -> str:
    return (
        f"On a copy of the network, {found.quantity} was handed down from layer to layer: each "
        "unit gets from the units above it the shares that it has in what they sum up, by the "
        f"rules below. {type(found.by).__name__.removeprefix('By')} did it. Without biases, and "
        "with rules that lose nothing, what arrives adds up to the score."
    )


def _facts(found: Relevance) -> Iterator[tuple[str, str]]:
    yield "network", found.network
    yield "score", ", ".join(number(value) for value in found.output.tolist()[:8])
    yield "by", type(found.by).__name__
    yield "input", f"{' × '.join(map(str, found.map.shape[1:]))}, {found.map.device}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())
    yield "time", f"{found.seconds:.1f} s"


def _caveats(found: Relevance) -> Iterator[str]:
    yield (
        "The rules are chosen, not found: with other rules the same score is shared out "
        "differently. Compare several before you read much into one map."
    )
    if float(found.conservation_error.max()) > 0.01:
        yield (
            "What is missing was absorbed by biases or lost by the rules; the map doesn't tell "
            "where it would have gone."
        )
    yield "Relevance shares out a score. It doesn't say what would happen if a pixel were changed."

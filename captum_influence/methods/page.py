"""The page of a comparison: maps side by side, and how far each can be trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.methods.catalogue import METHODS
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, bars, data_uri, embedded
from captum_influence.visualization import maps
from captum_influence.visualization.grids import limits_of
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from captum_influence.methods.result import Comparison

__all__ = ["comparison_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class _Shown:
    """A method's map, ready for the page."""

    name: str
    measures: str
    image: str
    limit: float


@dataclass(frozen=True)
class _Row:
    """A method's row: seconds, and a number and a bar for each score."""

    name: str
    seconds: float | None
    scores: tuple[tuple[float, Bar], ...]
    control: bool = False


def comparison_page(
    found: Comparison,
    picture: Tensor | None = None,
    example: int = 0,
    class_name: str | None = None,
    command: str | None = None,
) -> Page:
    """Return the page of one example of a comparison."""
    target = int(found.target[example])
    named = f"class {target}" if class_name is None else f"{class_name} (class {target})"
    content = {
        "window": f"{len(found.maps)} methods on {named}",
        "eyebrow": f"{found.layer} · {number(float(found.output[example]))} for {named}",
        "title": f"What {len(found.maps)} methods say about {class_name or named}",
        "lead": _lead(found, example),
        "picture": None if picture is None else embedded(picture, 120),
        "shown": _shown(found, example, picture),
        "columns": list(found.scores),
        "rows": _rows(found, example),
        "chance": {name: float(values[example]) for name, values in found.chance.items()},
        "refused": list(found.not_applicable.items()),
        "notes": _notes(found),
        "method": _method(found),
        "facts": list(_facts(found, example)),
        "python": _python(found, target),
        "commanded": command is not None,
        "command": command or "",
        "caveats": list(_caveats(found)),
    }
    return Page(TEMPLATE, content, lambda: _figures(found, example, picture))


def _figures(found: Comparison, example: int, picture: Tensor | None) -> Iterator[tuple[str, Any]]:
    yield "comparison", found.plot(picture, example=example)


def _lead(found: Comparison, example: int) -> str:
    refused = len(found.not_applicable)
    cannot = f" Methods that can't answer for this network: {refused}." if refused else ""
    for name, by in found.scores.items():
        known = {m: float(v[example]) for m, v in by.items() if math.isfinite(float(v[example]))}
        if known:
            best = max(known, key=lambda method: known[method])
            return f"Best by {name}, on this picture: {best}, with {number(known[best])}.{cannot}"
    return cannot.strip()


def _shown(found: Comparison, example: int, picture: Tensor | None) -> list[_Shown]:
    planes = {name: values[example, 0] for name, values in found.maps.items()}
    ends = limits_of(planes)
    return [
        _Shown(
            name,
            METHODS[name].measures if name in METHODS else "",
            data_uri(maps.heat_map(plane, picture, unit=None), 60),
            ends[name],
        )
        for name, plane in planes.items()
    ]


def _rows(found: Comparison, example: int) -> list[_Row]:
    names = [*found.maps, ""]
    columns = []
    for score, by in found.scores.items():
        values = [float(by[name][example]) for name in found.maps]
        values.append(float(found.chance[score][example]))
        columns.append(list(zip(values, bars(values), strict=True)))
    return [
        _Row(
            name or "noise (the control)",
            found.seconds.get(name),
            tuple(column[i] for column in columns),
            control=not name,
        )
        for i, name in enumerate(names)
        if name or columns
    ]


def _method(found: Comparison) -> str:
    at = (
        "is enlarged so that each entry lies where its place looks"
        if found.geometry is not None
        else "is enlarged as if the layer's places divided the picture evenly"
    )
    return (
        "Each method was asked why the network gives this class its score, one by one, on a copy "
        f"of the network. Entries are added over channels; a map of the layer {at}. Each map has "
        "its own scale, so colours compare places within a map, not sizes between maps."
    )


def _facts(found: Comparison, example: int) -> Iterator[tuple[str, str]]:
    yield "layer", found.layer
    yield "score", number(float(found.output[example]))
    if found.geometry is not None:
        (top, left), (down, right) = found.geometry.offset, found.geometry.stride
        yield "places", f"first at ({top:g}, {left:g}), then every {down:g} by {right:g} pixels"
    for name, value in found.settings.items():
        yield name, str(value)


def _notes(found: Comparison) -> list[tuple[str, str]]:
    """Return each remark once, with the methods that made it."""
    said: dict[str, list[str]] = {}
    for name, notes in found.notes.items():
        for note in notes:
            said.setdefault(note, []).append(name)
    return [(", ".join(names), note) for note, names in said.items()]


def _python(found: Comparison, target: int) -> str:
    side, _, name = found.layer.partition(" of ")
    layer = f'"{name}"' if side == "output" else f'Cut("{name}", "{side}")'
    names = "compare" if side == "output" else "Cut, compare"
    points = found.settings.get("points", 25)
    asked = [*found.maps, *found.not_applicable]
    chosen = "" if set(asked) == set(METHODS) else f", {json.dumps(asked)}"
    scored = ", scores=scores" if found.scores else ""
    values = "scores = {...}  # FlippingScore and others of captum_influence.metrics\n"
    return (
        f"from captum_influence import {names}\n\n{values if scored else ''}"
        f"found = compare(model, inputs, {layer}, {target}{chosen}, points={points}{scored})\n"
        'found.to_html("comparison.html", picture)'
    )


def _caveats(found: Comparison) -> Iterator[str]:
    yield (
        "The methods don't answer quite the same question: a slope says what would change the "
        "score, an attribution what made it. Maps may differ without one of them being wrong."
    )
    if found.scores:
        yield (
            "Scores on one picture say little about a method; pixel flipping also leaves the "
            "pictures that the network was trained on. Compare with the control, and over many "
            "pictures."
        )
    if found.notes:
        yield "Read the remarks: relevance that biases absorbed is missing from the map."
    yield "A sharp map isn't a true one: guided gradients show edges, whatever the class."

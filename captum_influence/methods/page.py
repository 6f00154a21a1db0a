"""The page of a comparison: maps side by side, and how far each can be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from captum_influence.methods.alignment import together
from captum_influence.methods.catalogue import METHODS
from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, bars, data_uri, embedded
from captum_influence.units.shown.texts import TextDisplay
from captum_influence.visualization import maps
from captum_influence.visualization.grids import limits_of
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.methods.result import Comparison

__all__ = ["comparison_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")
_LONG = 60  # characters of a text up to which strips stand side by side


@dataclass(frozen=True)
class _Shown:
    """A map, ready for the page, with the methods whose map it is to rounding.

    Attributes:
        methods: each with what it measures, in words.
        limit: where its colours end, of the first.
        label: what is read out in its place.
        image: over the picture, as an address; of a text empty.
        strip: of a text the coloured tokens; else empty.
    """

    methods: tuple[tuple[str, str], ...]
    limit: float
    label: str
    image: str = ""
    strip: str = ""


@dataclass(frozen=True)
class _Row:
    """A method's row: seconds, and a number and a bar for each score."""

    name: str
    seconds: float | None
    scores: tuple[tuple[float, Bar], ...]
    control: bool = False


def comparison_page(found: Comparison, command: str | None = None) -> Page:
    """Return the page of one example of a comparison."""
    title, lead = found.answer
    name = found.names[found.example]
    content = {
        "window": f"{len(found.maps)} methods on {name}",
        "eyebrow": f"{found.network} · layer {found.layer} · {_eyebrow(found)}",
        "title": title,
        "lead": " ".join(filter(None, (lead, found.refusals))),
        "picture": embedded(found.pictures[found.example], 120) if found.pictures else None,
        "shown": _shown(found),
        "text": bool(found.tokens),
        "long": sum(map(len, found.tokens)) > _LONG,
        "columns": list(found.scores),
        "rows": _rows(found),
        "refused": list(found.not_applicable.items()),
        "notes": _notes(found),
        "method": _method(found),
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": list(_caveats(found)),
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def _figures(found: Comparison) -> Iterator[tuple[str, Figure]]:
    yield "overview", found.plot()
    if found.pictures:
        yield "picture", maps.picture_figure(found.pictures[found.example])


def _eyebrow(found: Comparison) -> str:
    count, name = len(found.output), found.names[found.example]
    which = f", example {found.example} of {count}" if count > 1 else ""
    return f"score({name}) = {number(float(found.output[found.example]))}{which}"


def _shown(found: Comparison) -> list[_Shown]:
    """Return each map once, with the methods whose map it is."""
    planes = found.drawn()
    ends, draw = limits_of(planes), _strip if found.tokens else _image
    return [
        _Shown(
            methods=tuple((n, METHODS[n].measures if n in METHODS else "") for n in names),
            limit=ends[names[0]],
            **draw(found, f"Map of {', '.join(names)}", planes[names[0]]),
        )
        for names in together(planes)
    ]


def _image(found: Comparison, words: str, plane: Tensor) -> dict[str, str]:
    picture = found.pictures[found.example] if found.pictures else None
    return {"label": words, "image": data_uri(maps.heat_map(plane, picture, unit=None), 60)}


def _strip(found: Comparison, words: str, plane: Tensor) -> dict[str, str]:
    seen = TextDisplay(found.tokens).highlight(plane)
    where = seen.where("what raises the score")
    label = f"{words}. {where}" if where else f"{words}. No token raises the score."
    return {"label": label, "strip": seen.line(label)}


def _rows(found: Comparison) -> list[_Row]:
    """Return a row for each method, and where maps were scored for each control."""
    columns = []
    controls = [found.controls(score) for score in found.scores]
    for score, known in zip(found.scores, controls, strict=True):
        values = [float(found.scores[score][name][found.example]) for name in found.maps]
        values += known.values()
        columns.append(list(zip(values, bars(values), strict=True)))
    named = dict.fromkeys(found.maps, False) | dict.fromkeys(controls[0] if controls else (), True)
    return [
        _Row(
            f"{name} (a control)" if control else name,
            found.seconds.get(name),
            tuple(column[i] for column in columns),
            control=control,
        )
        for i, (name, control) in enumerate(named.items())
    ]


def _method(found: Comparison) -> str:
    if found.tokens:
        return (
            "Each method was asked why the network gives this class its score, one by one, on a "
            "copy of the network, at what embeds the tokens. Each token's features are added up; "
            "what a layer gives a token is added over its channels. Each map has its own scale, so "
            "colours compare tokens within a map, not sizes between maps."
        )
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


def _facts(found: Comparison) -> Iterator[tuple[str, str]]:
    yield "network, layer", f"{found.network}, {found.layer}"
    if found.channels:
        yield "units", found.channels
    yield "score", number(float(found.output[found.example]))
    if found.geometry is not None:
        (top, left), (down, right) = found.geometry.offset, found.geometry.stride
        yield "places", f"first at ({top:g}, {left:g}), then every {down:g} by {right:g} pixels"
    yield "points", str(found.points)
    yield "seed", str(found.seed)
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())


def _notes(found: Comparison) -> list[tuple[str, str]]:
    """Return each remark once, with the methods that made it."""
    said: dict[str, list[str]] = {}
    for name, notes in found.notes.items():
        for note in notes:
            said.setdefault(note, []).append(name)
    return [(", ".join(names), note) for note, names in said.items()]


def _caveats(found: Comparison) -> Iterator[str]:
    yield (
        "The methods don't answer quite the same question: a slope says what would change the "
        "score, an attribution what made it. Maps may differ without one of them being wrong."
    )
    if found.scores:
        yield (
            "Scores on one input say little about a method; pixel flipping also leaves the "
            "pictures that the network was trained on. Compare with the control, and over many "
            "inputs."
        )
    if found.notes:
        yield "Read the remarks: relevance that biases absorbed is missing from the map."
    yield "A sharp map isn't a true one: guided gradients show edges, whatever the class."

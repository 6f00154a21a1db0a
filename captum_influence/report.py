"""An explanation as one self-contained HTML file, and its figures as PNG."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_influence import attr, visualization
from captum_influence.explain import Example, Explanation, InterpretedUnit, Region, UnitInfluence

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render_report", "write_figures", "write_report"]

_PAIR = re.compile(r"^ClassScore\((\d+)\)(?: - ClassScore\((\d+)\))?$")
_FOCUS = {
    "quantity": "what each unit passes on: its entries, each weighed by its own influence",
    "unit": "each unit itself",
}
_ENDS = "the largest 0.5 % of values share the colours at the ends of the scale"
_PHOTO = 128  # pixels from which an enlarged picture is smoothed


def write_report(
    explanation: Explanation,
    path: str | PathLike[str],
    *,
    command: str | None = None,
    figures: str | PathLike[str] | None = None,
) -> Path:
    """Write an explanation as one HTML file, and its figures into a folder if one is given."""
    path = Path(path)
    page = render_report(explanation, command=command)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8")
    if figures is not None:
        write_figures(explanation, figures)
    return path


def render_report(explanation: Explanation, *, command: str | None = None) -> str:
    """Return the HTML of an explanation; it holds its pictures and loads nothing.

    Args:
        explanation: what to show.
        command: the shell command that made it; None: one with placeholders is suggested.

    Raises:
        ImportError: if Jinja is not installed.
    """
    title, lead = _title(explanation)
    return (
        _environment()
        .get_template("explanation.html.j2")
        .render(
            e=explanation,
            title=title,
            lead=lead,
            picture=_embedded(explanation.picture, explanation),
            table=_table(explanation),
            referenced=any(row.unit.reference is not None for row in explanation.units),
            cards=[_card(row, explanation) for row in explanation.units],
            gradient=visualization.GRADIENT,
            method=_method(explanation),
            facts=list(_facts(explanation)),
            commanded=command is not None,
            imports=_imports(explanation),
            command=command or _suggested(explanation),
            caveats=list(_caveats(explanation)),
        )
    )


def write_figures(explanation: Explanation, folder: str | PathLike[str]) -> list[Path]:
    """Write every figure of an explanation as a PNG file; return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in _figures(explanation):
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(visualization.png(figure))
    return paths


def _figures(explanation: Explanation) -> Iterator[tuple[str, Any]]:
    picture, by = explanation.picture, explanation.settings["by"]
    yield "overview", explanation.plot()
    yield "picture", visualization.picture_figure(picture)
    both = [row.unit for row in explanation.units] + _others(explanation)
    yield (
        "units",
        visualization.unit_bars(
            [unit.name for unit in both],
            [unit.value for unit in both],
            [unit.share for unit in both],
            unit=f"{by} to {explanation.quantity}",
        ),
    )
    for i, row in enumerate(explanation.units, start=1):
        unit = f"{by} of each pixel to {explanation.shown_by_map(row.unit)}"
        yield f"unit{i}_heat", visualization.heat_map(row.heat, picture, unit=unit)
        yield f"unit{i}_mask", visualization.mask_outline(row.mask, picture, box=row.box)
        if row.crop is not None:
            yield f"unit{i}_crop", visualization.picture_figure(row.crop, smooth=_smooth(picture))


@dataclass(frozen=True)
class _TableRow:
    """A unit's row: its bar lies from ``left`` to ``left + width``, in % of the bars' range."""

    unit: UnitInfluence
    anchor: str
    zero: float
    left: float
    width: float


@dataclass(frozen=True, eq=False)
class _ExampleRow:
    title: str
    examples: Sequence[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class _Card:
    """What the page shows of one unit; pictures are data URIs."""

    unit: UnitInfluence
    heat: str
    limit: float
    mask: str
    crop: str | None
    region: Region | None
    masked_share: float
    percent_kept: str
    subject: str
    examples: Sequence[_ExampleRow]


def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise ImportError("a report needs Jinja: pip install captum_influence[report]") from None
    environment = Environment(
        loader=PackageLoader("captum_influence"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "share": _share}
    return environment


def _number(value: float | None) -> str:
    """Return a number to three figures that a reader can compare down a column."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    text = f"{value:.0f}" if size >= 100 or size == 0 else f"{value:#.3g}"
    return text.replace("-", "−")


def _share(value: float) -> str:
    if 0.995 <= value < 1:
        return ">\u00a099\u00a0%"
    if 0 < value < 0.005:
        return "<\u00a01\u00a0%"
    return f"{100 * value:.0f}\u00a0%".replace("-", "−")


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
    low = min([0.0, *(unit.share for unit in units)])
    high = max([0.0, *(unit.share for unit in units)])
    span = (high - low) or 1.0

    def row(i: int, unit: UnitInfluence) -> _TableRow:
        zero, end = -low / span, (unit.share - low) / span
        anchor = f"unit-{i}" if i <= len(explanation.units) else ""
        left, width = min(zero, end), abs(end - zero)
        return _TableRow(unit, anchor, *(round(100 * x, 2) for x in (zero, left, width)))

    return [row(i, unit) for i, unit in enumerate(units, start=1)]


def _card(row: InterpretedUnit, explanation: Explanation) -> _Card:
    heat = row.heat
    picture = explanation.picture
    return _Card(
        row.unit,
        _data_uri(visualization.heat_map(heat, picture, unit=None)),
        visualization.limit(heat),
        _data_uri(visualization.mask_outline(row.mask, picture, box=row.box)),
        None if row.crop is None else _embedded(row.crop, explanation),
        row.regions[0] if row.regions else None,
        row.masked_share,
        f"{100 - explanation.settings['percentile']:g} %",
        explanation.shown_by_map(row.unit),
        [_example_row(kind, list(group), explanation) for kind, group in _by_kind(row)],
    )


def _by_kind(row: InterpretedUnit) -> Iterator[tuple[str, Iterator[Example]]]:
    yield from groupby(row.examples, key=lambda example: example.kind)


def _example_row(kind: str, examples: Sequence[Example], explanation: Explanation) -> _ExampleRow:
    titles = {"activation": "Where else it is most active"}
    title = titles.get(kind, f"Where else it does most for {explanation.quantity}")
    shown = [
        {
            "image": _embedded(example.image, explanation, dpi=40),
            "number": example.number,
            "label": example.label_name,
            "value": example.value,
        }
        for example in examples
    ]
    return _ExampleRow(title, shown)


def _embedded(picture: Any, explanation: Explanation, dpi: int = 120) -> str:
    smooth = _smooth(explanation.picture)
    return _data_uri(visualization.picture_figure(picture, smooth=smooth), dpi)


def _smooth(picture: Any) -> bool:
    return bool(max(picture.shape[-2:]) >= _PHOTO)


def _data_uri(figure: Any, dpi: int = 120) -> str:
    return "data:image/png;base64," + base64.b64encode(visualization.png(figure, dpi)).decode()


def _method(explanation: Explanation) -> str:
    settings, facts = explanation.settings, explanation.facts
    times = ""
    if settings["by"] == "contribution":
        times = ", times how far its activation moved from where the path starts"
    return (
        f"A unit's {settings['by']} is the gradient of {explanation.quantity} at the unit, "
        f"averaged over {facts['distribution']}{times}; the {settings['aggregate']} over all that "
        f"belongs to one {settings['axis']} is taken with its sign. The maps ask the same at the "
        f"pixels, added over colours, of {_FOCUS[settings['focus']]}."
    )


def _facts(explanation: Explanation) -> Iterator[tuple[str, str]]:
    settings, facts = explanation.settings, explanation.facts
    yield "network, layer", f"{explanation.network}, {explanation.layer}"
    yield "quantity", f"{explanation.quantity} = {_number(explanation.value)}"
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
        return f"{_number(delta)} (sum of contributions less the change of the quantity)"
    return (
        f"{_number(delta)}: the contributions add up to {_number(total)}, the quantity changes by "
        f"{_number(total - delta)} along the way"
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

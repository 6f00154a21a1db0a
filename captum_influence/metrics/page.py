"""The page of a metric: what it says, its figure, its table, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.reports.page import Page
from captum_influence.reports.parts import chart
from captum_influence.reports.words import snake_case
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.metrics.result import Metric

__all__ = ["metric_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_ROWS = 100  # of the table: to_frame() has all
_FEW = 12  # of its rows, which are shown when the page is opened


def metric_page(found: Metric, command: str | None = None) -> Page:
    """Return the page of a metric."""
    first, _, rest = found.headline.partition(". ")
    columns = {n: v.tolist() if isinstance(v, Tensor) else v for n, v in found.columns().items()}
    content = {
        "window": found.topic,
        "eyebrow": " · ".join([found.topic, *_place(found)]),
        "title": f"{first}." if rest else first,
        "lead": rest,
        "chart": chart(found.figure, f"{found.topic}: {found.headline}"),
        "names": list(columns),
        "numeric": [not any(isinstance(v, str) for v in values) for values in columns.values()],
        "rows": [
            [_cell(v) for v in row] for row in islice(zip(*columns.values(), strict=True), _ROWS)
        ],
        "count": len(next(iter(columns.values()))),
        "few": _FEW,
        "method": found.method,
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": found.caveats,
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def _place(found: Metric) -> Iterator[str]:
    for name in ("network", "layer", "quantity"):
        if name in found.facts:
            yield f"layer {found.facts[name]}" if name == "layer" else str(found.facts[name])


def _figures(found: Metric) -> Iterator[tuple[str, Figure]]:
    yield snake_case(type(found).__name__), found.plot()


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _facts(found: Metric) -> Iterator[tuple[str, str]]:
    for name, value in found.facts.items():
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())

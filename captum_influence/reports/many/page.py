"""The index of many findings: a row for each input, which leads to its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from captum_influence.reports.page import Page
from captum_influence.reports.parts import jpeg_uri
from captum_influence.visualization.maps import unit_bars
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.reports.many.result import Entry, Findings

__all__ = ["findings_figure", "findings_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_DRAWN = 12  # bars at each end
_CAVEATS = (
    "Each line is about one input and says no more than its page does; that units come up often "
    "is counted, not tested: a profile over a data set has means with standard errors.",
    "What was left out isn't spread evenly: it may be what the network finds hardest.",
)


@dataclass(frozen=True, eq=False)
class _Row:
    """A line, ready for the page."""

    name: str
    address: str | None
    picture: str | None
    sentence: str
    cells: Sequence[tuple[str, bool]]


def findings_page(found: Findings, command: str | None = None) -> Page:
    """Return the index of many findings."""
    title, _, lead = found.headline.partition(". ")
    seconds = sum(entry.seconds for entry in found.entries)
    content = {
        "window": f"{found.verb} of {len(found.entries)} {found.noun}s",
        "eyebrow": f"{found.network} · {found.verb} · {len(found.entries)} {found.noun}s",
        "title": f"{title}." if lead else title,
        "lead": lead,
        "noun": found.noun,
        "columns": [(name, _is_number(found, name)) for name in found.columns],
        "rows": [_row(entry, found) for entry in found.ordered()],
        "main": found.entries[0].main,
        "about": found.entries[0].about,
        "left_out": found.left_out,
        "method": (
            f"{found.verb} was asked of each {found.noun} by itself, with the same settings; each "
            "page says how it was computed. Rows are in the order of the column "
            f"“{found.entries[0].main}”, the largest first."
        ),
        "facts": [
            ("network", found.network),
            (f"{found.noun}s", f"{len(found.entries)}, and {len(found.left_out)} left out"),
            ("time", f"{seconds:.1f} s of computing"),
            ("versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())),
        ],
        "asked": found.asked,
        "command": command,
        "caveats": [*found.notes, *_CAVEATS],
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def findings_figure(found: Findings) -> Figure:
    """Draw the main number of each input as a bar; of many, the largest and the smallest."""
    ordered = found.ordered()
    drawn = ordered if len(ordered) <= 2 * _DRAWN else [*ordered[:_DRAWN], *ordered[-_DRAWN:]]
    return unit_bars([e.name for e in drawn], [e.size for e in drawn], unit=drawn[0].main)


def _figures(found: Findings) -> Iterator[tuple[str, Figure]]:
    yield "overview", findings_figure(found)


def _row(entry: Entry, found: Findings) -> _Row:
    return _Row(
        name=entry.name,
        address=None if entry.page is None else quote(entry.page),
        picture=None if entry.picture is None else jpeg_uri(entry.picture),
        sentence=entry.sentence,
        cells=[
            (_written(entry.columns.get(name)), _is_number(found, name)) for name in found.columns
        ],
    )


def _written(value: str | float | None) -> str:
    return str(value) if isinstance(value, str | int) else number(value)


def _is_number(found: Findings, name: str) -> bool:
    return not any(isinstance(entry.columns.get(name), str) for entry in found.entries)

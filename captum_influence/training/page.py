"""The page that findings about training examples share: a sentence, a figure, and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.parts import chart
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Table", "training_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True, eq=False)
class Table:
    """A table; the first column names what a row is about."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


def training_page(
    finding: Finding,
    tables: Sequence[Table],
    draw: Callable[[Theme], Figure],
    *,
    method: str,
    caveats: Sequence[str],
    command: str | None,
) -> Page:
    """Return the page of a finding.

    Args:
        finding: whose headline is the title.
        tables: one below the other.
        draw: its figure.
        method: how it was computed, in a few sentences.
        caveats: how far to trust it.
        command: the shell command that made it, or None.
    """
    content = {
        "window": "Training examples",
        "eyebrow": finding.asked.verb,
        "title": finding.headline,
        "lead": "",
        "figure": chart(draw, finding.headline),
        "tables": tables,
        "method": method,
        "facts": [("versions", ", ".join(f"{k} {v}" for k, v in finding.asked.versions.items()))],
        "asked": finding.asked,
        "command": command,
        "caveats": caveats,
    }
    return Page(TEMPLATE, content, lambda: iter([("overview", draw(LIGHT))]))

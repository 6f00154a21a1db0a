"""What was found as one self-contained HTML file, and its figures as PNG."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from captum_influence.explain import (
    Counterfactual,
    Essence,
    ExpertCurves,
    Explanation,
    Finding,
    Pair,
    Prototype,
)
from captum_influence.reports.counterfactual import counterfactual_page
from captum_influence.reports.essence import essence_page
from captum_influence.reports.expert import expert_page
from captum_influence.reports.explanation import explanation_page
from captum_influence.reports.page import Page
from captum_influence.reports.pair import pair_page
from captum_influence.reports.prototype import prototype_page

__all__ = ["render_report", "write_figures", "write_report"]


def write_report(
    finding: Finding,
    path: str | PathLike[str],
    *,
    command: str | None = None,
    figures: str | PathLike[str] | None = None,
) -> Path:
    """Write a finding as one HTML file, and its figures into a folder if one is given.

    Raises:
        ImportError: if Jinja is not installed.
    """
    page = _page(finding, command)
    written = page.write(path)
    if figures is not None:
        page.write_figures(figures)
    return written


def render_report(finding: Finding, *, command: str | None = None) -> str:
    """Return the HTML of a finding; it holds its pictures and loads nothing.

    Args:
        finding: what to show.
        command: the shell command that made it; None: one with placeholders is suggested.

    Raises:
        ImportError: if Jinja is not installed.
    """
    return _page(finding, command).html()


def write_figures(finding: Finding, folder: str | PathLike[str]) -> list[Path]:
    """Write every figure of a finding as a PNG file; return their paths."""
    return _page(finding, None).write_figures(folder)


def _page(finding: Finding, command: str | None) -> Page:
    pages: dict[type, Callable[[Any, str | None], Page]] = {
        Explanation: explanation_page,
        Essence: essence_page,
        Pair: pair_page,
        Counterfactual: counterfactual_page,
        ExpertCurves: expert_page,
        Prototype: prototype_page,
    }
    if type(finding) not in pages:
        raise TypeError(
            f"expected one of {', '.join(kind.__name__ for kind in pages)}, got "
            f"{type(finding).__name__}: it has no page"
        )
    return pages[type(finding)](finding, command)

"""Findings: results that have a page of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path
from typing import Any

from captum_influence.reports.page import Page

__all__ = ["Finding"]


class Finding(ABC):
    """What was found, which can be shown as a page and kept as JSON."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what was found as JSON can hold it."""

    @abstractmethod
    def page(self, command: str | None = None) -> Page:
        """Return the page that shows it; ``command`` is the shell command that made it."""

    def to_html(
        self,
        path: str | PathLike[str],
        *,
        command: str | None = None,
        figures: str | PathLike[str] | None = None,
    ) -> Path:
        """Write one self-contained HTML file, and every figure as PNG into ``figures`` if asked.

        Args:
            path: the file to write.
            command: the shell command that made this; None: one is suggested.
            figures: a folder for the figures.

        Raises:
            ImportError: if Jinja is not installed.
        """
        page = self.page(command)
        written = page.write(path)
        if figures is not None:
            page.write_figures(figures)
        return written

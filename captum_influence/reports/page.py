"""A page: one self-contained HTML file, and its figures as PNG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_influence.reports.words import counted
from captum_influence.visualization import maps

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

__all__ = ["Page", "give_or_take", "number", "share"]

Figures = Callable[[], Iterator[tuple[str, "Figure"]]]


@dataclass(frozen=True, eq=False)
class Page:
    """What a page says and shows.

    Attributes:
        template: the file, beside the ``page.py`` that fills it; it extends ``base.html.j2``.
        content: what the template asks for.
        figures: draws each figure when it is asked for, with its name.
    """

    template: Path
    content: Mapping[str, Any]
    figures: Figures

    def html(self) -> str:
        """Return the page's text; it holds its pictures and loads nothing.

        Raises:
            ImportError: if Jinja is not installed.
        """
        page: str = (
            _environment()
            .from_string(self.template.read_text("utf-8"))
            .render(gradient=maps.GRADIENT, counted=counted, **self.content)
        )
        return page

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the page, and make its folder if need be."""
        path, text = Path(path), self.html()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def write_figures(self, folder: str | PathLike[str]) -> list[Path]:
        """Write every figure as a PNG file into a folder; return their paths."""
        folder, paths = Path(folder), []
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in self.figures():
            paths.append(folder / f"{name}.png")
            paths[-1].write_bytes(maps.png(figure))
        return paths


def number(value: float | None) -> str:
    """Return a number to three figures that a reader can compare down a column."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    text = f"{value:.0f}" if size >= 100 or size == 0 else f"{value:#.3g}"
    return text.replace("-", "−")


def give_or_take(value: float, error: float) -> str:
    """Return a mean with its standard error, if there is one."""
    return f"{number(value)} ± {number(error)}" if math.isfinite(error) else number(value)


def share(value: float) -> str:
    """Return a share as a percentage; what rounds to none or all of it is named as a bound."""
    if not math.isfinite(value):
        return "–"
    if 0.995 <= value < 1:
        return ">\u00a099\u00a0%"
    if 0 < value < 0.005:
        return "<\u00a01\u00a0%"
    return f"{100 * value:.0f}\u00a0%".replace("-", "−")


def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise ImportError("a report needs Jinja: pip install captum_influence[report]") from None
    environment = Environment(
        loader=PackageLoader("captum_influence.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "share": share, "give_or_take": give_or_take}
    return environment

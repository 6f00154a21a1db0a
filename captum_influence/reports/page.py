"""A page: one self-contained HTML file, and its figures as PNG."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_influence.data.files import write_bytes, write_text
from captum_influence.reports.words import counted
from captum_influence.visualization import maps
from captum_influence.visualization.numbers import beside, give_or_take, number, share

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

__all__ = ["Page", "fragment"]

Figures = Callable[[], Iterator[tuple[str, "Figure"]]]


@dataclass(frozen=True, eq=False)
class Page:
    """What a page says and shows.

    Attributes:
        template: the file, beside the ``page.py`` that fills it; it extends ``base.html.j2``.
        content: what the template asks for.
        figures: draws each figure when it is asked for, with its name.
        numbers: a file's name and what it says, to be had from the page; None: there is none.
    """

    template: Path
    content: Mapping[str, Any]
    figures: Figures
    numbers: tuple[str, Mapping[str, Any]] | None = None

    def html(self) -> str:
        """Return the page's text; it holds its pictures and loads nothing.

        Raises:
            ImportError: if Jinja is not installed.
        """
        page: str = (
            _environment()
            .from_string(self.template.read_text("utf-8"))
            .render(gradient=maps.GRADIENT, counted=counted, file=self._file(), **self.content)
        )
        return page

    def _file(self) -> tuple[str, str] | None:
        """Return the numbers' file and its content as an address, which works without a network."""
        if self.numbers is None:
            return None
        name, content = self.numbers
        encoded = base64.b64encode(json.dumps(content, allow_nan=False).encode()).decode()
        return name, f"data:application/json;base64,{encoded}"

    def first_screen(self, figure: Figure) -> str:
        """Return a fragment for a notebook: what the page begins with, and one figure."""
        template = _environment().get_template("first_screen.html.j2")
        picture = "data:image/png;base64," + base64.b64encode(maps.png(figure)).decode()
        fragment: str = template.render({**self.content, "first_picture": picture})
        return fragment

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the page, and make its folder if need be."""
        return write_text(path, self.html())

    def write_figures(
        self, folder: str | PathLike[str], formats: Sequence[str] = ("png",)
    ) -> list[Path]:
        """Write every figure into a folder, once in each format; return the files' paths."""
        return [
            write_bytes(Path(folder) / f"{name}.{ending}", maps.drawn_as(figure, ending))
            for name, figure in self.figures()
            for ending in formats
        ]


def fragment(template: Path, **content: Any) -> str:
    """Return a part of a page, filled in; other templates can embed it as it is.

    Raises:
        ImportError: if Jinja is not installed.
    """
    source = _environment().from_string(template.read_text("utf-8"))
    filled: str = source.render(gradient=maps.GRADIENT, **content)
    return filled


def _humps(name: str) -> Any:
    """Return a name that may break where its words begin, and nowhere else."""
    from markupsafe import Markup, escape  # Jinja brings it along

    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[a-z])(?=[A-Z])", name))


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
    environment.filters["humps"] = _humps
    environment.filters |= {
        "number": number,
        "beside": beside,
        "share": share,
        "give_or_take": give_or_take,
    }
    return environment

"""Findings: results that can be looked at, kept, and asked for again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import Self

from captum_influence.data.files import read_tensors, write_json, write_tensors, write_text
from captum_influence.data.records import apart, together
from captum_influence.reports.asked import Asked
from captum_influence.reports.page import Page
from captum_influence.reports.words import snake_case

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Finding"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Finding(ABC):
    """What was found: it says it in words, draws it, tabulates it, keeps it, and asks it again.

    A subclass is a dataclass with ``eq=False, repr=False, kw_only=True`` that answers
    :attr:`headline`, :meth:`plot`, :meth:`page`, :meth:`to_dict` and :meth:`to_frame`; the rest
    follows. :func:`captum_influence.testing.check_finding` tests that.

    Attributes:
        asked: the call that found it.
    """

    asked: Asked

    #: what its files are called; None: the class's name, in small letters
    stem: ClassVar[str | None] = None
    #: whether a path with another ending, such as ``run.profile``, is the name of a file too
    any_ending: ClassVar[bool] = False

    # What a subclass answers

    @property
    @abstractmethod
    def headline(self) -> str:
        """The finding in words, saying no more than was measured."""

    @abstractmethod
    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure."""

    @abstractmethod
    def page(self, command: str | None = None) -> Page:
        """Return the page that shows it; ``command`` is the shell command that made it."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what was found, but pictures and maps, as JSON can hold it."""

    @abstractmethod
    def to_frame(self) -> Any:
        """Return the finding's main table as a ``pandas.DataFrame``.

        Raises:
            ImportError: if pandas isn't installed.
        """

    # What follows

    @property
    def settings(self) -> Mapping[str, Any]:
        """The keyword arguments that it was asked with, as JSON can hold them."""
        return self.asked.settings

    @property
    def call(self) -> str:
        """The Python call that asks the same again."""
        return self.asked.call

    def to_html(
        self,
        path: str | PathLike[str],
        *,
        command: str | None = None,
        figures: str | PathLike[str] | None = None,
        formats: Sequence[str] = ("png",),
    ) -> Path:
        """Write one self-contained HTML file, and every figure into ``figures`` if asked.

        The page holds what :meth:`to_dict` returns, to be kept as a JSON file with a click.

        Args:
            path: the file to write.
            command: the shell command that made this; None: one is suggested.
            figures: a folder for the figures.
            formats: the endings of their files: ``"png"``, ``"svg"``, ``"pdf"``.

        Raises:
            ImportError: if Jinja is not installed.
        """
        numbers = (f"{self._stem()}.json", self._as_json())
        page = replace(self.page(command), numbers=numbers)
        written = page.write(path)
        if figures is not None:
            page.write_figures(figures, formats)
        return written

    def to_csv(self, path: str | PathLike[str]) -> Path:
        """Write the table of :meth:`to_frame` as a CSV file, its numbers in full.

        Raises:
            ImportError: if pandas isn't installed.
        """
        table = self.to_frame()
        named = any(name is not None for name in table.index.names)
        return write_text(path, table.to_csv(index=named, lineterminator="\n"))

    def save(self, path: str | PathLike[str]) -> tuple[Path, Path]:
        """Write the finding, to be loaded again, and beside it as JSON, to be read.

        Args:
            path: a folder, made if need be, for two files that are named after the finding; or
                the name of either file, which ends in .safetensors or .json.

        Raises:
            ImportError: if safetensors is not installed.
        """
        binary, text = self.places(path)
        content, tensors = apart(self)
        write_tensors(binary, self._stem(), {"finding": content}, tensors)
        write_json(text, self._as_json())
        return binary, text

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Return what :meth:`save` wrote there.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it was cut off or altered, holds something else, or is of another
                version.
        """
        binary, _ = cls.places(path)
        if not binary.is_file():
            raise FileNotFoundError(
                f"expected a saved {cls.__name__} at {str(path)!r}, but there is no {binary.name}: "
                f"give the folder, or a file, that {cls.__name__}.save wrote"
            )
        header, tensors = read_tensors(binary, cls._stem())
        found: Self = together(cls, header.get("finding"), tensors)
        return found

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: the first screen of the page."""
        try:
            return self.page().first_screen(self.plot())
        except ImportError:  # no Jinja: the notebook shows the repr
            return None

    def __repr__(self) -> str:
        """Return the class and the finding, in one line."""
        words = " ".join(self.headline.split())
        return f"<{type(self).__name__}: {words if len(words) <= 160 else words[:159] + '…'}>"

    def _as_json(self) -> dict[str, Any]:
        return {"format": f"captum_influence.{type(self).__name__}", **self.to_dict()}

    @classmethod
    def _stem(cls) -> str:
        return cls.stem or snake_case(cls.__name__)

    @classmethod
    def places(cls, path: str | PathLike[str]) -> tuple[Path, Path]:
        """Return which two files :meth:`save` writes there."""
        path = Path(path)
        if path.suffix in (".safetensors", ".json"):
            return path.with_suffix(".safetensors"), path.with_suffix(".json")
        # Letters: a folder may be called run-0.5.
        if cls.any_ending and path.suffix[1:].isalpha() and not path.is_dir():
            return path, path.with_name(f"{path.name}.json")
        return path / f"{cls._stem()}.safetensors", path / f"{cls._stem()}.json"

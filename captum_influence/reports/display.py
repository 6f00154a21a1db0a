"""How an input is shown, and what a map over it lights: the same for pictures, series and text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Display", "Highlight", "Row"]


class Highlight(ABC):
    """A map over an input, and what of the input it lights. A subclass is a frozen dataclass."""

    map: Tensor
    """What each place does, signed; shaped as :meth:`Display.laid` lays it."""

    @property
    @abstractmethod
    def lit_share(self) -> float:
        """The part of all that raises the quantity that lies in what is lit, from 0 to 1."""

    @abstractmethod
    def where(self, raising: str) -> str:
        """Return a sentence on where that which raises it lies; empty if nothing does.

        Args:
            raising: what to call it, for example ``"what raises it"``.
        """

    @abstractmethod
    def fragment(self, subject: str, measure: str) -> str:
        """Return the map and what it lights as a fragment of a page.

        Args:
            subject: what the map is about, in words.
            measure: what the map measures, in words.
        """

    @property
    def heat(self) -> Tensor:
        """The map as it is shown."""
        return self.map

    def glance(self, end: float) -> str | None:
        """Return the map as a line of a page, coloured up to ``end``; None: it is a picture."""
        return None

    def code(self) -> str | None:
        """Return the map as a small picture that a page's script reads; None: there is none."""
        return None

    def thumbnail(self) -> str | None:
        """Return the map over the input, small, as a data URI; None: there is none."""
        return None

    @abstractmethod
    def figures(self, unit: str) -> Iterator[tuple[str, Figure]]:
        """Yield each figure with a name; ``unit`` is what the map measures."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""


@dataclass(frozen=True, eq=False)
class Row:
    """One unit of an overview: what it is called, its signed share, and its map."""

    name: str
    share: float
    seen: Highlight


class Display(ABC):
    """One input as it is shown. A subclass is a frozen dataclass that draws itself."""

    #: what the input is called
    noun: ClassVar[str] = "input"

    @abstractmethod
    def laid(self, attributions: Tensor) -> Tensor:
        """Lay attributions, shaped like one input, over what is shown: one number per place."""

    @abstractmethod
    def highlight(self, values: Tensor, *, lowest: bool = False) -> Highlight:
        """Return a map over the input and what it lights.

        Args:
            values: what each place does, as :meth:`laid` lays it.
            lowest: light what lowers the quantity, not what raises it; the map keeps its signs.
        """

    @abstractmethod
    def overview(self, rows: Sequence[Row], title: str) -> Figure:
        """Draw the input, the units' shares and their maps as one figure."""

    @abstractmethod
    def figure(self) -> Figure:
        """Draw the input alone."""

    @abstractmethod
    def fragment(self) -> str:
        """Return the input as a fragment of a page."""

    def glance(self) -> str:
        """Return the input as a line of a page, among others."""
        return self.fragment()

    def stage(self, seen: Highlight, words: str) -> str:
        """Return the input with a map over it as the first picture of a page.

        Args:
            seen: the map.
            words: what it shows.
        """
        return seen.fragment(words, "what it does")

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return what is shown, but tensors, as JSON can hold it."""

"""What all metrics find: a sentence, one figure, one table, and how far to trust them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.metrics.page import metric_page
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Columns", "Metric", "standard_error"]

Columns = Mapping[str, Sequence[Any] | Tensor]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Metric(Finding):
    """What a metric says of an explanation.

    A subclass answers :attr:`headline`, :attr:`method`, :meth:`columns` and :meth:`figure`.

    Attributes:
        facts: what it was computed from, in words.
    """

    facts: Mapping[str, Any]

    #: what the page is headed
    topic: ClassVar[str]
    #: how far to trust it, in sentences
    caveats: ClassVar[tuple[str, ...]]

    # What a subclass answers

    @property
    @abstractmethod
    def method(self) -> str:
        """How it was computed, in words."""

    @abstractmethod
    def columns(self) -> Columns:
        """Return the columns of its table, all of one length."""

    @abstractmethod
    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw it."""

    # What follows

    def plot(self) -> Figure:
        """Return it as one Matplotlib figure."""
        return self.figure()

    def page(self, command: str | None = None) -> Page:
        return metric_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        """Return all that was found, as JSON can hold it: tensors as lists, NaN as null."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "asked"}
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                **own,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return its table as a ``pandas.DataFrame``.

        Raises:
            ImportError: if pandas isn't installed.
        """
        return frame(self.columns())


def standard_error(values: Tensor) -> float:
    """Return the standard error of the mean of (examples,); NaN of a single one."""
    if len(values) < 2:
        return math.nan
    return float(values.double().std() / math.sqrt(len(values)))

"""What was found of one of many inputs: a sentence, and a row of an index."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from captum_influence.reports.finding import Finding

__all__ = ["Summarized", "Summary"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Summary:
    """One input's line in the index of many.

    Attributes:
        sentence: what was found.
        columns: the same as words and numbers, by the names of the index's columns.
        about: what the columns are, where their names don't say it.
        main: the column that orders the index, the largest first.
        picture: (3, height, width) in [0, 1]; None if the input is no picture.
    """

    sentence: str
    columns: Mapping[str, str | float | None]
    about: str
    main: str
    picture: Tensor | None

    def __post_init__(self) -> None:
        if self.main not in self.columns:
            raise ValueError(
                f"expected main as one of the columns {', '.join(self.columns)}, got {self.main!r}"
            )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Summarized(Finding):
    """A finding about one input, that is also found for many, one by one."""

    @property
    @abstractmethod
    def summary(self) -> Summary:
        """Its line in the index of many."""

"""Bars in the rows of a table, on one scale around a common zero, and numbers in large type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Bar", "Tile", "bars"]


@dataclass(frozen=True)
class Bar:
    """A bar from ``left`` to ``left + width``, with zero at ``zero``, in % of the bars' range."""

    zero: float
    left: float
    width: float
    minus: bool


@dataclass(frozen=True)
class Tile:
    """A number in large type, and what it counts."""

    value: str
    words: str


def bars(values: Sequence[float]) -> list[Bar]:
    """Return a bar for each value, all on the scale that holds zero and all of them."""
    known = [value if value == value else 0.0 for value in values]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = (high - low) or 1.0

    def bar(value: float) -> Bar:
        zero, end = -low / span, (value - low) / span
        left, width = min(zero, end), abs(end - zero)
        return Bar(round(100 * zero, 2), round(100 * left, 2), round(100 * width, 2), value < 0)

    return [bar(value) for value in known]

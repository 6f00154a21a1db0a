"""Phrases that findings share."""

from __future__ import annotations

import re

__all__ = ["counted", "place", "snake_case"]


def counted(count: int, noun: str) -> str:
    """Return ``1 picture``, ``2 pictures``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def place(row: float, column: float, height: int, width: int) -> str:
    """Return where in a picture a pixel lies: ``upper left``, ``centre``, ``lower middle``, ..."""
    down = ("upper", "", "lower")[min(int(3 * row / height), 2)]
    across = ("left", "middle", "right")[min(int(3 * column / width), 2)]
    if not down:
        return "centre" if across == "middle" else f"{across} middle"
    return f"{down} {across}"


def snake_case(name: str) -> str:
    """Return what a class is called where values have small letters.

    Example:
        >>> snake_case("LayerScores")
        'layer_scores'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()

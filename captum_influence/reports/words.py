"""Phrases that findings share."""

from __future__ import annotations

import re

__all__ = ["counted", "entry_of", "owned", "place", "quoted", "snake_case"]


def counted(count: int, noun: str) -> str:
    """Return ``1 picture``, ``2 pictures``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def entry_of(noun: str) -> str:
    """Return what an input is made of, as maps show it: a picture's pixel, a prompt's token."""
    return "token" if noun == "prompt" else "pixel"


def owned(name: str, thing: str) -> str:
    """Return whose a thing is: ``cat's units``, ``the units of 'Mary'``."""
    return f"the {thing} of {name}" if name.startswith(("'", '"')) else f"{name}'s {thing}"


def quoted(name: str) -> str:
    """Return a name in quotation marks; that of a token has some already, around its spaces.

    Example:
        >>> quoted("cat"), quoted("' Mary'")
        ('“cat”', "' Mary'")
    """
    return name if name.startswith(("'", '"')) else f"“{name}”"


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

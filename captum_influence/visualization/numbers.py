"""Numbers as figures, pages and sentences show them."""

from __future__ import annotations

import math

__all__ = ["beside", "give_or_take", "number", "percent", "share", "signed_share"]

_MINUS = "−"
_SPACE = "\u00a0"  # that doesn't break


def number(value: float | None) -> str:
    """Return a number to three figures that a reader can compare down a column.

    Example:
        >>> number(-0.01234), number(1234.5), number(-0.0), number(None)
        ('−0.0123', '1234', '0', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    value = value if size else 0.0  # no minus before a zero
    whole = size >= 99.95 or size == 0  # what rounds to three figures before the point
    text = f"{value:.0f}" if whole else f"{value:#.3g}"
    return text.replace("-", _MINUS)


def beside(value: float, largest: float) -> str:
    """Return a number with as many places as the largest of its table needs for three figures.

    Example:
        >>> beside(-0.000571, 8.28), beside(1.667, 8.28)
        ('0', '1.67')
    """
    if not math.isfinite(value) or not largest:
        return number(value)
    places = max(2 - math.floor(math.log10(abs(largest))), 0)
    rounded = round(value, places)
    return f"{rounded:.{places}f}".replace("-", _MINUS) if rounded else "0"


def give_or_take(value: float, error: float) -> str:
    """Return a mean with its standard error, if there is one above zero."""
    known = (
        math.isfinite(error) and error > abs(value) * 1e-9
    )  # what is the same throughout has none
    return f"{number(value)} ± {number(error)}" if known else number(value)


def share(value: float) -> str:
    r"""Return a share as a percentage for a table; what rounds to none or all of it, as a bound.

    Example:
        >>> share(0.25), share(0.999), share(0.001)
        ('25\xa0%', '>\xa099\xa0%', '<\xa01\xa0%')
    """
    return _percentage(value, below=f"<{_SPACE}", above=f">{_SPACE}")


def percent(value: float) -> str:
    """Return a share as a percentage for a sentence: ``over 99 %`` for what rounds to all of it."""
    return _percentage(value, below="under ", above="over ")


def signed_share(value: float) -> str:
    r"""Return a share of what adds up with its sign, as figures have it.

    Example:
        >>> signed_share(0.25), signed_share(-0.5)
        ('+25\xa0%', '−50\xa0%')
    """
    return f"{100 * value:+.0f}{_SPACE}%".replace("-", _MINUS)


def _percentage(value: float, *, below: str, above: str) -> str:
    if not math.isfinite(value):
        return "–"
    if 0.995 <= value < 1:
        return f"{above}99{_SPACE}%"
    if 0 < abs(value) < 0.005:
        return f"{below}1{_SPACE}%"
    return f"{100 * value:.0f}{_SPACE}%".replace("-", _MINUS)

"""Progress: a moving bar for whoever looks on, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar
from weakref import WeakSet

from tqdm.auto import tqdm as _Moving
from tqdm.std import tqdm as _Plain

__all__ = ["bar", "progress"]

_EVERY = 30.0  # seconds between two lines of a log, over all bars of the process
_OFTEN = 0.1  # seconds between two looks at the clock

_KNOWN = "{desc}: {unit} {n_fmt} of {total_fmt}, {percentage:.0f}%, {remaining} to go"
_UNKNOWN = "{desc}: {unit} {n_fmt}, {elapsed} so far"

T = TypeVar("T")


def progress(
    items: Iterable[T],
    title: str,
    *,
    total: int | None = None,
    initial: int = 0,
    unit: str = "step",
    show: bool = True,
) -> Iterable[T]:
    """Return the items, and show on the error stream how many of them are done.

    On a terminal and in a notebook that is tqdm's bar. Elsewhere, as in a log or a pipe, it is a
    line every 30 seconds, counted over all bars of the process: a run of many short loops is
    neither silent nor a line for each.

    Args:
        items: what is gone through.
        title: what is done with them.
        total: how many there are; None: their length, if they have one.
        initial: how many were done before.
        unit: what one of them is called.
        show: whether anything is shown.

    Example:
        >>> [row**2 for row in progress(range(3), "squares", show=False)]
        [0, 1, 4]
    """
    if not show:
        return items
    shown: Iterable[T] = bar(title, items, total=total, initial=initial, unit=unit)
    return shown


def bar(
    title: str,
    items: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    initial: int = 0,
    unit: str = "step",
) -> Any:
    """Return the bar itself, a context manager with ``update``, for what is no plain loop."""
    kind = _Moving if _is_watched() else _Line
    # With no error stream at all there is nowhere to show it.
    silent = sys.stderr is None
    return kind(items, title, total=total, initial=initial, unit=unit, disable=silent)


def _is_watched() -> bool:
    """Say whether what is written can be written over: on a terminal, or by a notebook."""
    return getattr(sys.stderr, "isatty", bool)() or "ipykernel" in sys.modules


class _Line(_Plain):  # type: ignore[misc]  # tqdm is untyped
    """A bar that is a line of text, together with the bars around it, when it is time for one."""

    monitor_interval = 0  # no thread that looks after it: every step looks at the clock
    shown: ClassVar[WeakSet[_Line]] = WeakSet()
    due: ClassVar[float | None] = None

    def __init__(self, items: Iterable[Any] | None, title: str, **how: Any) -> None:
        if _Line.due is None:
            _Line.due = time.monotonic() + _EVERY
        often = min(_OFTEN, _EVERY)
        # Without smoothing, the time to go comes from the mean pace, not from the last steps'.
        super().__init__(
            items, title, mininterval=often, miniters=1, smoothing=0, leave=False, **how
        )
        if not self.disable:
            with self.get_lock():
                _Line.shown.add(self)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write the bars that are under way, the outermost first, if it is time to."""
        now = time.monotonic()
        if not _Line.shown or _Line.due is None or now < _Line.due:
            return
        _Line.due = now + _EVERY
        under_way = sorted(_Line.shown, key=lambda line: line.start_t)
        self.fp.write("; ".join(map(str, under_way)) + "\n")

    def close(self) -> None:
        """End it: the last look at the clock, too."""
        super().close()
        with self.get_lock():
            _Line.shown.discard(self)

    @property
    def format_dict(self) -> dict[str, Any]:
        """What tqdm writes the text from."""
        wording = _KNOWN if self.total else _UNKNOWN
        return {**super().format_dict, "bar_format": wording}

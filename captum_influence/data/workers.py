"""A loader's workers that die, told in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["workers_watched"]

# What torch says, and the pipes of multiprocessing; a worker's own error begins with "Caught".
_DIED = re.compile(r"DataLoader worker \(pid.*(exited unexpectedly|killed by signal)", re.DOTALL)
_LATE = re.compile(r"DataLoader timed out")


@contextmanager
def workers_watched(loader: object) -> Iterator[None]:
    """Say in words that a loader's worker has died; torch may say so in the midst of anything.

    Raises:
        RuntimeError: if one died, or didn't answer in time.
    """
    count = getattr(loader, "num_workers", 0)
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        text = " ".join(str(error).split())
        if not count or text.startswith(("Caught ", "expected ")):
            raise
        if _LATE.search(text):
            raise RuntimeError(
                f"expected a batch of the loader's {count} workers in time, got none ({text}): "
                "make the DataLoader with a longer timeout, or with num_workers=0 to see what "
                "takes so long"
            ) from error
        if not _DIED.search(text) and isinstance(error, RuntimeError):
            raise
        raise RuntimeError(
            f"expected the loader's {count} workers to live until the end, got one that died "
            f"({type(error).__name__}: {text or 'no more is known'}), as for want of memory: make "
            "the DataLoader with num_workers=0, which raises what went wrong where it happens, or "
            "with fewer workers and smaller batches"
        ) from error

"""How a question is run: in which portions, from which seed, with which sign of progress."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from captum_influence.network.outputs import Output

__all__ = ["Run"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """How it is run.

    Attributes:
        internal_batch_size: (example, point) rows per pass; None: as many as run fastest.
        seed: of all that is drawn at random; the global random state is left as it was.
        show_progress: show progress bars.
        output: which tensor of what the network returns is meant: a key or a field, a place in a
            tuple, or a function of it; None: the tensor itself, ``logits``, ``out``, or the only
            one.

    Raises:
        TypeError: if a number isn't whole.
        ValueError: if the batch size isn't positive.
    """

    internal_batch_size: int | None = None
    seed: int = 0
    show_progress: bool = False
    output: Output = None

    def __post_init__(self) -> None:
        for name in ("internal_batch_size", "seed"):
            value = getattr(self, name)
            if value is not None and not hasattr(value, "__index__"):
                raise TypeError(f"expected {name} as a whole number, got {value!r}")
        rows = self.internal_batch_size
        if rows is not None and operator.index(rows) < 1:
            raise ValueError(f"expected internal_batch_size as a positive number, got {rows}")

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Let whatever draws at random draw the same, and leave the global state as it was."""
        devices = range(torch.cuda.device_count()) if _cuda_in_use() else ()
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.seed)
            yield


def _cuda_in_use() -> bool:
    return "torch.cuda" in sys.modules and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]

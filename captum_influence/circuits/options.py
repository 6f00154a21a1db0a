"""What the verbs of circuits take by keyword."""

from __future__ import annotations

from typing_extensions import TypedDict

from captum_influence.attr.run import Run

__all__ = ["CircuitOptions"]


class CircuitOptions(TypedDict, total=False):
    """What :func:`circuit` and :func:`edges` take by keyword out of :class:`Run`."""

    internal_batch_size: int | None
    seed: int
    show_progress: bool
    run: Run

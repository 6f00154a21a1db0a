"""Gradient checkpointing, left out of a pass: what it would compute again is kept instead.

A checkpointed part runs a second time during the backward pass, when hooks are gone and calls have
been counted. The numbers are the same without it; only memory differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.utils.checkpoint as library

from captum_influence.network.passes.holding import lasting_lock, noted

__all__ = ["without_checkpointing"]

_lock = lasting_lock()
_users = 0


@contextmanager
def without_checkpointing() -> Iterator[None]:
    """Run checkpointed parts as any others, of either kind, within the block.

    The switch belongs to the process. Other threads that train meanwhile get the same gradients,
    with more memory.
    """
    _turn(+1)
    with noted(lambda: _turn(-1)):
        yield


class _Plainly:
    """In place of the reentrant kind's function."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def _nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
    """In place of what the other kind does before and after a part."""
    yield


_REPLACED = {
    "CheckpointFunction": _Plainly,
    "_checkpoint_without_reentrant_generator": _nothing,
}
_own = {name: getattr(library, name) for name in _REPLACED if hasattr(library, name)}


def _turn(step: int) -> None:
    global _users
    with _lock:
        _users += step
        for name, own in _own.items():
            setattr(library, name, _REPLACED[name] if _users else own)

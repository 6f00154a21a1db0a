"""Buffers that a forward pass changes (running means, power iterations, counters), put back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.passes.holding import noted

__all__ = ["Place", "Stand", "changed_by", "put_back"]

Place = tuple[Module, str]


def _places(modules: Sequence[Module]) -> list[Place]:
    inside = dict.fromkeys(m for network in modules for m in network.modules())
    return [(m, name) for m in inside for name, b in m._buffers.items() if b is not None]


@contextmanager
def put_back(places: Sequence[Place]) -> Iterator[None]:
    """Put these buffers back when the block ends."""
    before = [(module._buffers[name], _copy(module, name)) for module, name in places]

    def back() -> None:
        with torch.no_grad():
            for (module, name), (own, content) in zip(places, before, strict=True):
                if own is not None and content is not None:
                    module._buffers[name] = own
                    own.copy_(content)

    with noted(back):
        yield


class Stand:
    """Copies that stand in for buffers, new ones for each pass; the buffers are left alone.

    Not the buffers themselves are put back after a pass: a graph may have saved them.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._own = [(module, name, module._buffers[name]) for module, name in places]

    def begin(self) -> None:
        """Let the next pass see what the first one saw."""
        for module, name, own in self._own:
            module._buffers[name] = None if own is None else own.detach().clone()

    def end(self) -> None:
        """Give the modules their own again."""
        for module, name, own in self._own:
            module._buffers[name] = own


@contextmanager
def changed_by(modules: Sequence[Module]) -> Iterator[list[Place]]:
    """Put all buffers back when the block ends, and tell then which had changed.

    By their content: batch norm changes its statistics without counting it as a version.
    """
    places, found = _places(modules), list[Place]()
    before = [_copy(module, name) for module, name in places]
    with put_back(places):
        yield found
        now = [module._buffers[name] for module, name in places]
        found += [p for p, a, b in zip(places, before, now, strict=True) if not _same(a, b)]


def _copy(module: Module, name: str) -> Tensor | None:
    buffer = module._buffers[name]
    return None if buffer is None else buffer.detach().clone()


def _same(before: Tensor | None, now: Tensor | None) -> bool:
    if before is None or now is None:
        return before is now
    if before.shape != now.shape:
        return False
    return bool(((before == now) | ((before != before) & (now != now))).all())

"""A network held by one thread while it is hooked, and left as it was found.

What is done to a network (hooks, replaced methods, frozen parameters) belongs to the process. So
one thread at a time holds a network, with all of its modules: another wrapper of the same modules
waits. Whatever is done is noted, so that a child that is forked meanwhile can undo what the thread
that it doesn't have would have undone.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn import Module

__all__ = ["frozen", "held", "lasting_lock", "modules_of", "noted", "plain"]


def lasting_lock() -> threading.RLock:
    """Return a lock that a forked child gets unlocked, whatever other threads were doing."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock


def modules_of(forward_func: Callable[..., Any]) -> list[Module]:
    """Return the networks that a function can be seen to run: itself, or what it closes over."""
    if isinstance(forward_func, Module):
        return [forward_func]
    if isinstance(forward_func, partial):
        held = [forward_func.func, *forward_func.args, *forward_func.keywords.values()]
    else:
        code = getattr(forward_func, "__code__", None)
        known = getattr(forward_func, "__globals__", {})
        held = [getattr(forward_func, "__self__", None)]
        held += [known.get(name) for name in getattr(code, "co_names", ())]
        held += [_content(cell) for cell in getattr(forward_func, "__closure__", None) or ()]
    found = [m for value in held if isinstance(value, Module | partial) for m in modules_of(value)]
    return list(dict.fromkeys(found))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


class _Holders:
    """Which thread holds which modules; a thread may hold the same ones again."""

    def __init__(self) -> None:
        self.changed = threading.Condition(lasting_lock())
        self.holder: dict[int, list[int]] = {}  # id of a module -> [thread, times]

    def take(self, modules: Sequence[Module]) -> None:
        """Wait until no other thread holds any of the modules, and hold all of them."""
        me = threading.get_ident()
        with self.changed:
            self.changed.wait_for(lambda: all(self._mine(id(m), me) for m in modules))
            for module in modules:
                self.holder.setdefault(id(module), [me, 0])[1] += 1

    def leave(self, modules: Sequence[Module]) -> None:
        """Let go of them."""
        with self.changed:
            for module in modules:
                entry = self.holder[id(module)]
                entry[1] -= 1
                if not entry[1]:
                    del self.holder[id(module)]
            self.changed.notify_all()

    def _mine(self, module: int, me: int) -> bool:
        return self.holder.get(module, [me])[0] == me


_holders = _Holders()
_undoing: dict[int, list[Callable[[], None]]] = {}  # thread -> what undoes what it has done


@contextmanager
def held(modules: Sequence[Module]) -> Iterator[None]:
    """Let one thread at a time explain a network of these modules, each named once."""
    _holders.take(modules)
    try:
        yield
    finally:
        _holders.leave(modules)


@contextmanager
def noted(undo: Callable[[], None]) -> Iterator[None]:
    """Undo something when the block ends; in a child that is forked meanwhile, at once."""
    mine = _undoing.setdefault(threading.get_ident(), [])
    mine.append(undo)
    try:
        yield
    finally:
        mine.remove(undo)
        if not mine:
            _undoing.pop(threading.get_ident(), None)
        undo()


@contextmanager
def frozen(networks: Sequence[Module]) -> Iterator[None]:
    """Let no parameter require a gradient, so that none is computed and no input kept for it.

    That belongs to the process: while other threads run, which may train the network, parameters
    stay as they are. Then no gradient is computed for them either, but some inputs are kept.
    """
    parameters = [p for network in networks for p in network.parameters()]
    trainable = [p for p in parameters if p.requires_grad] if _alone() else []

    def thaw() -> None:
        for parameter in trainable:
            parameter.requires_grad_(True)

    with noted(thaw):
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield


def _alone() -> bool:
    """Return whether no other thread runs Python, but those of progress bars."""
    others = [t for t in threading.enumerate() if t is not threading.current_thread()]
    return all(type(thread).__name__ == "TMonitor" for thread in others)


_plainly: list[ExitStack] = []  # one entry for each thread that needs it
_plainly_lock = lasting_lock()


@contextmanager
def plain() -> Iterator[None]:
    """Run compiled and fused modules module by module: the hooks are set later, and inside.

    Both switches belong to the process: the first thread that needs them sets them, the last one
    sets them back.
    """
    with _plainly_lock:
        switches = _plainly[0] if _plainly else _switched()
        _plainly.append(switches)

    def back() -> None:
        with _plainly_lock:
            _plainly.pop()
            if not _plainly:
                switches.close()

    with noted(back):
        yield


def _switched() -> ExitStack:
    """Turn off compiled graphs, and the fused transformer layers that take nested tensors."""
    switches = ExitStack()
    fused = torch.backends.mha.get_fastpath_enabled()
    switches.callback(torch.backends.mha.set_fastpath_enabled, fused)
    torch.backends.mha.set_fastpath_enabled(False)
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # from 2.6 on
        switches.enter_context(torch.compiler.set_stance("force_eager"))
    return switches


def _after_fork() -> None:
    """In a child, undo what threads did that it doesn't have, and let go of what they held."""
    me = threading.get_ident()
    for thread in [t for t in _undoing if t != me]:
        for undo in reversed(_undoing.pop(thread)):
            undo()
    for module in [m for m, (thread, _) in _holders.holder.items() if thread != me]:
        del _holders.holder[module]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""What a network computes before the points enter: run once per example, replayed per point."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.cuts import mapped, tensors_in
from captum_influence.network.passes.holding import noted
from captum_influence.network.passes.rows import Layout

__all__ = ["Call", "Prefix", "Recorder", "Replays"]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module: what it was given and what it returned."""

    module: Module
    given: tuple[Tensor, ...]
    returned: Any


class Recorder:
    """Follows a forward pass and knows, at any moment, which calls are complete.

    Of nested calls only the outermost complete one counts: replaying it makes those inside
    unnecessary.
    """

    def __init__(self, root: Module) -> None:
        self._root, self._thread = root, threading.get_ident()
        self._open: list[list[Call]] = [[]]
        self._all: Counter[Module] = Counter()
        self.calls: tuple[Call, ...] = ()
        self.hidden: Counter[Module] = Counter()

    @contextmanager
    def following(self) -> Iterator[None]:
        """Hook into every module, before the user's own hooks, for one forward pass."""
        hooks = ExitStack()
        with noted(hooks.close):
            for module in self._root.modules():
                enter = module.register_forward_pre_hook(self._enter, prepend=True)
                leave = module.register_forward_hook(self._leave, prepend=True, with_kwargs=True)
                hooks.callback(enter.remove)
                hooks.callback(leave.remove)
            yield

    def stop(self) -> None:
        """Take down what is complete by now."""
        self.calls = tuple(call for level in self._open for call in level)
        self.hidden = self._all - Counter(call.module for call in self.calls)

    def _enter(self, module: Module, args: Any) -> None:
        if threading.get_ident() == self._thread:
            self._open.append([])

    def _leave(self, module: Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        self._open.pop()
        self._all[module] += 1
        given = (*tensors_in(args), *tensors_in(kwargs))
        self._open[-1].append(Call(module, given, output))


@dataclass(frozen=True, eq=False)
class Prefix:
    """The complete calls before the points enter.

    Attributes:
        calls: the calls; of what they returned, ``layouts`` tells which tensors have rows.
        layouts: one for each call.
        needed: for each call whether anything but a replayed call reads what it returned. What is
            not needed is handed on as NaN of the right shape, without memory.
        hidden: how many earlier calls of a module the replay leaves out.
    """

    calls: tuple[Call, ...]
    layouts: tuple[Layout, ...]
    needed: tuple[bool, ...]
    hidden: Counter[Module] = field(default_factory=Counter)

    @staticmethod
    def of(
        recorder: Recorder, layouts: Sequence[Layout], rows: int, *, whole: bool = True
    ) -> Prefix:
        """Return the recorded calls; needed, at first sight, is what no other of them was given.

        ``whole``: the points overwrite all of what the last one returned.
        """
        given = {id(tensor) for call in recorder.calls for tensor in call.given}
        needed = [
            not all(id(tensor) in given for tensor in tensors_in(call.returned))
            for call in recorder.calls
        ]
        if needed:
            needed[-1] = not whole  # the last one returned what the points overwrite
        calls = tuple(
            Call(call.module, (), layout.fixed(call.returned, rows))
            for call, layout in zip(recorder.calls, layouts, strict=True)
        )
        return Prefix(calls, tuple(layouts), tuple(needed), recorder.hidden)

    def all_needed(self) -> Prefix:
        """Return the prefix with nothing left out."""
        return replace(self, needed=(True,) * len(self.calls))

    def slimmed(self) -> Prefix:
        """Return the prefix without memory for what is not needed: one row of NaN without any."""
        first = torch.zeros(1, dtype=torch.long)
        calls = [
            call
            if needed
            else Call(call.module, (), mapped(_hollow, layout.taken(call.returned, first)))
            for call, layout, needed in zip(self.calls, self.layouts, self.needed, strict=True)
        ]
        return replace(self, calls=tuple(calls))

    @staticmethod
    def joined(parts: Sequence[Prefix]) -> Prefix:
        """Return one prefix for the examples of several."""
        first = parts[0]
        columns = zip(*[part.calls for part in parts], strict=True)
        calls = [
            Call(column[0].module, (), layout.joined([call.returned for call in column]))
            if needed
            else column[0]
            for column, layout, needed in zip(columns, first.layouts, first.needed, strict=True)
        ]
        return replace(first, calls=tuple(calls))

    @contextmanager
    def replayed(self, examples: Tensor) -> Iterator[None]:
        """Let the recorded modules return what they did for these of the examples."""
        rows: dict[Module, list[Callable[[], Any]]] = {}
        for place, call in enumerate(self.calls):
            rows.setdefault(call.module, []).append(partial(self._returned, place, examples))
        with ExitStack() as stack:
            for module, returns in rows.items():
                stack.enter_context(_forward_replaced(module, returns))
            yield

    def _returned(self, place: int, examples: Tensor) -> Any:
        layout, value = self.layouts[place], self.calls[place].returned
        if self.needed[place]:
            value = layout.taken(value, examples)
        else:
            value = layout.spread(value, len(examples))
        return layout.as_came(value, len(examples))


class Replays:
    """What is replayed of the examples that were recorded, and nothing if it isn't the same.

    Attributes:
        hidden: during a replay, how many earlier calls of a module it leaves out.
    """

    def __init__(self) -> None:
        self.hidden: Counter[Module] = Counter()
        self._prefixes: list[Prefix] = []
        self._recorded = 0

    @property
    def any(self) -> bool:
        """Whether anything will be replayed."""
        return bool(self._prefixes)

    @property
    def open(self) -> bool:
        """Whether more may be recorded: the first recording decides for all."""
        return self.any or not self._recorded

    def remember(self, found: Prefix, rows: int, same: Callable[[], bool]) -> None:
        """Keep a prefix if a replay of it leads to the ``same`` output."""
        first = not self._prefixes
        candidates = (
            [found, found.all_needed()]
            if first
            else [replace(found, needed=self._prefixes[0].needed)]
        )
        self._recorded += rows
        for candidate in candidates:
            self._prefixes.append(candidate.slimmed())
            if not first or same():
                return
            self._prefixes.clear()

    @contextmanager
    def replayed(self, examples: Tensor | None) -> Iterator[None]:
        """Let the recorded modules return what they did for these of the examples."""
        if examples is None or not self._prefixes:
            yield
            return
        if len(self._prefixes) > 1:
            self._prefixes = [Prefix.joined(self._prefixes)]
        self.hidden = self._prefixes[0].hidden
        try:
            with self._prefixes[0].replayed(examples):
                yield
        finally:
            self.hidden = Counter()


def _hollow(tensor: Tensor) -> Tensor:
    """Return NaN of the same shape that takes the memory of one number."""
    if not tensor.is_floating_point():
        return tensor
    return torch.full((), torch.nan, dtype=tensor.dtype, device=tensor.device).expand(tensor.shape)


@contextmanager
def _forward_replaced(module: Module, returns: Sequence[Callable[[], Any]]) -> Iterator[None]:
    """Let the module's first calls in this thread return what is given, and run as ever after."""
    original, own = module.forward, "forward" in module.__dict__
    waiting, thread = list(returns), threading.get_ident()

    def forward(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread or not waiting:
            return original(*args, **kwargs)
        return waiting.pop(0)()

    def back() -> None:
        if own:
            module.forward = original
        else:
            del module.forward

    module.forward = forward
    with noted(back):
        yield

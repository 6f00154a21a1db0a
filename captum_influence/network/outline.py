"""The layers of a network: their names, what shape comes out of them, and the last with places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.modes import without_graph
from captum_influence.network.passes.holding import held
from captum_influence.network.recording import quiet

__all__ = ["last_with_places", "layer_table"]

# Where torch defines layers that pass on what others made.
_PASSING = ("dropout", "flatten", "padding", "pooling", "upsampling")


def layer_table(model: Module, inputs: Tensor) -> str:
    """Return one line per layer that runs on an input: its name, kind, and output shape.

    A layer that runs several times, or whose output is no single tensor, says so.
    """
    seen: dict[str, list[str]] = {}

    def note(name: str, module: Module, output: Any) -> None:
        seen.setdefault(name, []).append(_outline(output))

    with _noting(model, note), torch.no_grad():
        model(inputs)
    rows = [
        (name, type(module).__name__, _shape(seen[name]))
        for name, module in model.named_modules()
        if name in seen
    ]
    widths = [max([len(row[column]) for row in rows], default=0) for column in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {shape}" for name, kind, shape in rows]
    return "\n".join(lines)


@contextmanager
def _noting(model: Module, note: Callable[[str, Module, Any], None]) -> Iterator[None]:
    """Within the block, tell of each call of a named layer its name, itself, what it returned."""

    def watch(name: str) -> Any:
        return lambda module, args, output: note(name, module, output)

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                hooks.callback(module.register_forward_hook(watch(name)).remove)
        yield


def _outline(output: Any) -> str:
    if isinstance(output, Tensor):
        return str(tuple(output.shape[1:])).replace(",)", ")")
    return f"{type(output).__name__}; in Python, Cut(..., select=...) picks a tensor of it"


def _shape(outlines: list[str]) -> str:
    times = (
        f", runs {len(outlines)} times: add --call 0 to {len(outlines) - 1}"
        if len(outlines) > 1
        else ""
    )
    return outlines[0] + times


def last_with_places(model: Module, inputs: Tensor) -> str:
    """Return the name of the last layer that has several places for each channel.

    It is the output of the last block of a transformer, else of the last layer behind which others
    with weights follow; poolings and dropouts don't count. Maps of class scores, which nothing but
    a mean follows, aren't chosen: their channels are the classes.

    Raises:
        ValueError: if there is none.
    """
    calls = _calls(model, inputs)
    last_weights = max((c.ended for c in calls if c.weighs), default=0)
    passing = [c for c in calls if c.passes]
    found = [
        c
        for c in calls
        if c.has_places and c.ended < last_weights and not c.passes and not c.ends_with(passing)
    ]
    once = [c for c in found if sum(other.name == c.name for other in calls) == 1]
    if not once:
        raise ValueError(
            "expected a network with a layer that has several places for each channel, as a "
            "convolution has, got none: name the layer that is meant, as layer='fc1'"
        )
    last = max(once, key=lambda call: call.ended)
    inner = [c for c in once if c.returned is last.returned and c.name.startswith(last.name + ".")]
    chosen = max(inner, key=lambda call: call.ended) if inner else last
    names = {call.name for call in once}
    return (_last_block(model, inputs, names) if chosen.returned.ndim == 3 else "") or chosen.name


@dataclass(frozen=True, eq=False)
class _Call:
    """What a module returned, when it ended, and what it is."""

    name: str
    module: Module
    returned: Tensor
    ended: int

    @property
    def passes(self) -> bool:
        """Whether it hands on what others made."""
        kind = type(self.module)
        return kind.__module__.rpartition(".")[2] in _PASSING or isinstance(
            self.module, torch.nn.Identity
        )

    @property
    def weighs(self) -> bool:
        """Whether it has weights itself."""
        return next(self.module.parameters(recurse=False), None) is not None

    @property
    def has_places(self) -> bool:
        """Whether it returned several numbers for each of several channels."""
        shape = self.returned.shape[1:]
        return len(shape) > 1 and sum(size > 1 for size in shape) > 1

    def ends_with(self, others: list[_Call]) -> bool:
        """Say whether it only returns what a part of it did, out of some."""
        inside = self.name + "."
        return any(c.returned is self.returned and c.name.startswith(inside) for c in others)


def _calls(model: Module, inputs: Tensor) -> list[_Call]:
    """Return the calls that returned one tensor with a row for each input, in the order of ends."""
    calls: list[_Call] = []

    def note(name: str, module: Module, output: Any) -> None:
        whole = isinstance(output, Tensor) and output.is_floating_point() and output.ndim > 1
        if whole and len(output) == len(inputs):
            calls.append(_Call(name, module, output, len(calls)))

    with held(tuple(model.modules())), quiet(model), without_graph(), _noting(model, note):
        model(inputs)
    return calls


def _last_block(model: Module, inputs: Tensor, among: set[str]) -> str:
    """Return which of some modules is a transformer's last block; empty if none is.

    Behind those of all tokens may be others of the class token, or one that returns several.
    """
    try:
        blocks = Anatomy.of(model, inputs).blocks
    except ValueError:
        return ""
    return next((block.name for block in reversed(blocks) if block.name in among), "")

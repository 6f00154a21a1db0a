"""The layers of a network: their names, and what shape comes out of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

__all__ = ["layer_table"]


def layer_table(model: Module, inputs: Tensor) -> str:
    """Return one line per layer that runs on an input: its name, kind, and output shape.

    A layer that runs several times, or whose output is no single tensor, says so.
    """
    with _watched(model) as seen, torch.no_grad():
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
def _watched(model: Module) -> Iterator[dict[str, list[Any]]]:
    """Note what each named layer returns; the hooks are gone when the block ends."""
    seen: dict[str, list[Any]] = {}

    def watch(name: str) -> Any:
        return lambda module, args, output: seen.setdefault(name, []).append(_outline(output))

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                hooks.callback(module.register_forward_hook(watch(name)).remove)
        yield seen


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

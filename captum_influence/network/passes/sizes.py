"""What the modules of a network return for one row, in bytes, and how its convolutions are used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Module

from captum_influence.network.cuts import Cut, Forward, Tensors, tensors_in
from captum_influence.network.passes.holding import noted
from captum_influence.network.passes.hooks import Mark

__all__ = ["Sizes", "deeper_than_hooks", "measured"]

# Nested modules up to which all are hooked: each hook adds frames to Python's stack of 1000.
_DEEPEST = 60
_CONVOLUTIONS = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)


@dataclass(frozen=True)
class Sizes:
    """Bytes that modules return for one row.

    Attributes:
        anywhere: the largest tensor.
        behind_cuts: the largest behind the first cut.
        kept: all behind the first cut, which the graph may keep.
        positions: at how many places of one row a weight of a two-dimensional convolution is used,
            the mean over all such weights; 0 without any.
    """

    anywhere: int
    behind_cuts: int
    kept: int
    positions: float = 0.0


def deeper_than_hooks(network: Module) -> bool:
    """Return whether modules are nested so deeply that hooks on all would fill Python's stack."""
    return max(str(name).count(".") for name, _ in network.named_modules()) > _DEEPEST


def measured(
    run: Callable[[Sequence[Mark]], Any], network: Forward, inputs: Tensors, cuts: Sequence[Cut]
) -> Sizes:
    """Return the sizes that one pass shows.

    Args:
        run: runs the first example, with marks at the cuts.
        network: the network, or a function that runs it, which shows its inputs only.
        inputs: of the pass.
        cuts: where the graph will begin.
    """
    before, behind, begun = [max(x.nbytes for x in inputs)], [0], threading.Event()
    thread, products, weights = threading.get_ident(), [0], [0]

    def measure(module: Module, args: Any, output: Any) -> None:
        if threading.get_ident() != thread:
            return
        if isinstance(module, _CONVOLUTIONS) and isinstance(output, torch.Tensor):
            weights.append(module.weight.numel())
            products.append(weights[-1] * output[0, 0].numel() if output.ndim == 4 else 0)
        for tensor in tensors_in(output):
            size = 0 if 0 in tensor.stride() else tensor.nbytes
            (behind if begun.is_set() else before).append(size)

    with torch.no_grad(), _on_every_module(network, measure):
        run([Mark(cut, begun.set) for cut in cuts])
    positions = sum(products) / max(sum(weights), 1)
    return Sizes(max(*before, *behind), max(behind), sum(behind), positions)


@contextmanager
def _on_every_module(network: Forward, measure: Callable[..., None]) -> Iterator[None]:
    hooks = ExitStack()
    with noted(hooks.close):
        if isinstance(network, Module) and not deeper_than_hooks(network):
            for module in network.modules():
                if not isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
                    hooks.callback(module.register_forward_hook(measure).remove)
        yield

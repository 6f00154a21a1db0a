"""What passes a place in a network, forwards or backwards, and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from captum_influence.network.cuts import Cut, Tensors
from captum_influence.network.interventions import intervene
from captum_influence.network.slices import Slice

__all__ = ["activations", "gradients", "one_tensor", "output_of"]


def activations(model: nn.Module, inputs: Tensor, cut: Cut) -> Tensor:
    """Return what passes a cut, (examples, ...), in one pass; nothing of the model changes.

    Raises:
        TypeError: if it isn't one tensor.
    """
    slice_ = Slice(model, [cut])
    with slice_.opened():
        inputs = slice_.admitted(inputs)
        reading = slice_.read((inputs,), (), cuts=slice_.cuts, cuts_only=True)
    return one_tensor(reading.cuts[0], cut)


def output_of(model: nn.Module, inputs: Tensor) -> Any:
    """Return what a network answers, in one pass; nothing of the model changes."""
    slice_ = Slice(model, [])
    with slice_.opened():
        return slice_.read((slice_.admitted(inputs),), ()).output


@contextmanager
def gradients(model: nn.Module, cut: Cut) -> Iterator[list[Tensor]]:
    """Within the block, keep the gradients that arrive at a cut in backward passes, in order."""
    kept: list[Tensor] = []

    def probe(tensor: Tensor) -> Tensor:
        if tensor.requires_grad:
            tensor.register_hook(lambda gradient: kept.append(gradient.detach()))  # type: ignore[no-untyped-call]
        # A clone goes on, so that others' hooks on it have run before the probe's.
        return tensor.clone()

    with intervene(model, cut, probe):
        yield kept


def one_tensor(tensors: Tensors, cut: Cut) -> Tensor:
    """Return the one tensor at a cut.

    Raises:
        TypeError: if there are several, or it has no dimension of examples.
    """
    if len(tensors) == 1 and tensors[0].ndim > 0:
        return tensors[0]
    came = f"{len(tensors)} tensors" if len(tensors) != 1 else "a number"
    raise TypeError(
        f"expected one tensor (examples, ...) at the {cut}, got {came}: pick one of its tensors "
        "with Cut(layer, select=...)"
    )

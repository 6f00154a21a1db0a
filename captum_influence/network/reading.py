"""What passes a place in a network, and what comes out of it, in one plain pass."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from captum_influence.network.cuts import Cut, Tensors
from captum_influence.network.slices import Slice

__all__ = ["activations", "one_tensor", "output_of"]


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

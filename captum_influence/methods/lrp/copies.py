"""The copy that relevance is handed down through: the same one, whoever does it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from captum_influence.network.folding import fold_batchnorm
from captum_influence.network.modes import without_graph
from captum_influence.network.outputs import answering, rebuilt
from captum_influence.network.tracing import out_of_place

__all__ = ["readied"]


def readied(model: nn.Module, inputs: Tensor) -> tuple[nn.Module, Any]:
    """Return a copy of a network in eval mode, and what it answers.

    Nothing in it is in place, each BatchNorm is part of the layer before it as far as one is, so
    that rules see the weights that count, and it answers with one tensor.

    Raises:
        TypeError: if the network can't be copied.
    """

    def change(network: nn.Module) -> nn.Module:
        return fold_batchnorm(out_of_place(network), inputs[:1])

    copied = rebuilt(model, change)
    with without_graph():
        returned = copied(inputs.clone())
        if not isinstance(returned, Tensor):
            copied = answering(copied)
            returned = copied(inputs.clone())
    return copied, returned

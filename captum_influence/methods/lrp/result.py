"""What flowed back to each layer, and whether nothing got lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.methods.lrp.captum_backend import Propagation

__all__ = ["Relevance"]


@dataclass(frozen=True, eq=False)
class Relevance:
    """A relevance map and how much of the output it accounts for.

    Attributes:
        map: shaped like the inputs.
        output: (examples,), the score that was distributed.
        conservation_error: (examples,), how far the map's sum is from the output, as a share of the
            output's size. What is missing was absorbed by biases and by ε.
        rules: dotted name of a module -> the name of its rule.
        layers: the relevance of the units of each layer that was asked for, by its name.
        by: who propagated it.
    """

    map: Tensor
    output: Tensor
    conservation_error: Tensor
    rules: Mapping[str, str]
    layers: Mapping[str, Tensor]
    by: Propagation

    def error_at(self, layer: str) -> Tensor:
        """Return the conservation error of a layer, (examples,).

        It says where relevance goes missing, at layers that everything passes; beside a skip
        connection, what is missing went around.
        """
        return _error(self.layers[layer], self.output)


def _error(values: Tensor, output: Tensor) -> Tensor:
    total = values.flatten(1).sum(1)
    return torch.where(output == 0, total.abs(), (total - output).abs() / output.abs())

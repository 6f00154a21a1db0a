"""Class activation maps, for the networks that have them by construction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from captum_influence.network.cuts import Cut
from captum_influence.network.modes import without_graph
from captum_influence.network.slices import Slice

__all__ = ["class_map"]


def class_map(model: nn.Module, inputs: Tensor, cut: Cut, target: Tensor) -> Tensor:
    r"""Return the class activation maps :math:`\sum_k w_{ck} A_k`, (examples, 1, ...).

    There are such maps where scores are a linear layer of the layer's means over places, which is
    checked on the inputs: then the mean of a map plus the class's bias is its score. They are
    Grad-CAM's maps without the ReLU, times the number of places.

    Args:
        model: the network, in eval mode.
        inputs: (examples, ...).
        cut: the layer, by name: (examples, channels, height, width), or (examples, channels,
            steps).
        target: (examples,), one class each.

    Raises:
        ValueError: if the network isn't such a one, with the reason.

    Source: Zhou et al. 2016, arXiv 1512.04150.
    """
    names = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not names:
        raise ValueError(f"{_NEEDS}; this network has no nn.Linear")
    last = names[-1]
    slice_ = Slice(model, [cut, Cut(last, "input"), Cut(last)])
    with slice_.opened(), without_graph():
        reading = slice_.read((slice_.admitted(inputs),), (), cuts=slice_.cuts)
    (units,), (read, *_), (scores, *_) = reading.cuts
    if not _same(scores, reading.output):
        raise ValueError(f"{_NEEDS}; this network's scores aren't what its last one, {last}, gives")
    if units.ndim < 3 or not _same(read, units.flatten(2).mean(2)):
        raise ValueError(f"{_NEEDS}; what {last} reads is something else")
    weight = model.get_submodule(last).get_parameter("weight").detach()
    return torch.einsum("nk,nk...->n...", weight[target], units)[:, None]


_NEEDS = "it needs scores that a single linear layer gives from this layer's means over places"


def _same(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-5)

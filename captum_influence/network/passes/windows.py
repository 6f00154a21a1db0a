"""A cut where an example has several rows: what is done there is done to its windows together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from captum_influence.network.cuts import Cut, Tensors

__all__ = ["acting_on_windows"]

Act = Callable[[Tensors], Tensors]


def acting_on_windows(act: Act, cut: Cut) -> Act:
    """Return what an act does to tensors (examples · windows, ...) by acting on each example's.

    The act is given (examples, windows, ...), views of the same memory. That an example's windows
    lie side by side, not those of one place, is what the probe of the rows finds out.

    Args:
        act: looks at the tensors that it is given and returns what shall go on in their place.
        cut: where. Of one window, the act itself is returned.
    """
    if cut.windows == 1:
        return act

    def through(tensors: Tensors) -> Tensors:
        apart = tuple(_apart(tensor, cut) for tensor in tensors)
        changed = act(apart)
        pairs = zip(tensors, apart, changed, strict=True)
        return tuple(t if new is old else new.flatten(0, 1) for t, old, new in pairs)

    return through


def _apart(tensor: Tensor, cut: Cut) -> Tensor:
    if tensor.ndim == 0 or len(tensor) % cut.windows:
        raise ValueError(
            f"expected {cut.windows} windows of each example in the first dimension of the {cut}, "
            f"got shape {tuple(tensor.shape)}: inputs of another size have other windows, which "
            "Anatomy.of(model, inputs) counts"
        )
    return torch.unflatten(tensor, 0, (-1, cut.windows))

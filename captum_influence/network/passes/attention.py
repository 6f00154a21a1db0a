"""``torch.nn.MultiheadAttention`` with its output projection as a module that is called.

It hands the projection's weight to one function, so that no hook sees what the heads give. Here
the function gets an identity in its place, which changes no bit, and the projection follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch.nn import Linear, Module, MultiheadAttention
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from captum_influence.network.passes.holding import noted

__all__ = ["heads_apart"]


@contextmanager
def heads_apart(networks: Sequence[Module], among: Sequence[Module]) -> Iterator[None]:
    """Let output projections of torch's attention run as modules within the block.

    Args:
        networks: whose modules.
        among: which modules are wanted; others are left alone.
    """
    wanted = [m for m in among if isinstance(m, NonDynamicallyQuantizableLinear)]
    if not wanted:
        yield
        return
    inside = [m for network in networks for m in network.modules()]
    undo = ExitStack()
    with noted(undo.close):
        for module in inside:
            if isinstance(module, MultiheadAttention) and any(module.out_proj is m for m in wanted):
                module.__dict__["forward"] = partial(_apart, module, module.forward)
                undo.callback(module.__dict__.pop, "forward", None)
        yield


def _apart(module: MultiheadAttention, plain: Any, *args: Any, **kwargs: Any) -> Any:
    projection = cast(Linear, module.out_proj)
    weight = projection.weight
    with torch.no_grad():
        # Made in the weight's type; its own class, since the function asks for weight and bias.
        size = projection.in_features
        identity = Linear(size, size, bias=False, device=weight.device, dtype=weight.dtype)
        identity.weight.copy_(torch.eye(size)).requires_grad_(False)
    module._modules["out_proj"] = identity
    try:
        merged, *weights = plain(*args, **kwargs)
    finally:
        module._modules["out_proj"] = projection
    return (projection(merged), *weights)

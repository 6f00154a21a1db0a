"""Attention whose projections are handed to a function as weights, with them as modules called.

No hook sees what such a projection reads. ``torch.nn.MultiheadAttention`` gives one function all of
its weights: for its output projection the function gets an identity in its place, which changes no
bit, and the projection follows. Others, such as torchvision's Swin, give ``linear`` the weight and
bias of a module: there the module is called in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from torch.nn import Linear, Module, MultiheadAttention
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.overrides import TorchFunctionMode

from captum_influence.network.passes.holding import noted

__all__ = ["heads_apart"]


@contextmanager
def heads_apart(networks: Sequence[Module], among: Sequence[Module]) -> Iterator[None]:
    """Let projections whose weights are handed to a function run as modules within the block.

    Args:
        networks: whose modules.
        among: which modules are wanted; others are left alone.
    """
    wanted = [m for m in among if isinstance(m, Linear)]
    if not wanted:
        yield
        return
    inside = [m for network in networks for m in network.modules()]
    undo = ExitStack()
    with noted(undo.close):
        for module in inside:
            for linear in wanted:
                forward = _forward(module, linear)
                if forward is not None:
                    undo.callback(_put, module, module.__dict__.get("forward"))
                    _put(module, forward)
        yield


def _put(module: Module, forward: Callable[..., Any] | None) -> None:
    """Let a module have a forward of its own, or that of its class."""
    if forward is None:
        module.__dict__.pop("forward", None)
    else:
        module.__dict__["forward"] = forward


def _forward(module: Module, linear: Linear) -> Callable[..., Any] | None:
    """Return another forward for a module that hands a projection's weight to a function."""
    if isinstance(linear, NonDynamicallyQuantizableLinear):
        if not isinstance(module, MultiheadAttention) or module.out_proj is not linear:
            return None
        return partial(_apart, module, module.forward)
    names = {name for name, child in module.named_children() if child is linear}
    code = getattr(getattr(type(module), "forward", None), "__code__", None)  # scripted: none
    used = getattr(code, "co_names", ())
    if not names & set(used) or "weight" not in used:  # as in self.proj.weight
        return None
    return partial(_calling, linear, module.forward)


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


def _calling(linear: Linear, plain: Any, *args: Any, **kwargs: Any) -> Any:
    called, before = _Called(linear), linear.__dict__.get("forward")
    _put(linear, partial(called.inside, linear.forward))
    try:
        with called:
            return plain(*args, **kwargs)
    finally:
        _put(linear, before)


class _Called(TorchFunctionMode):
    """Calls a module in the place of ``linear`` with the module's own weight and bias."""

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        self._linear = linear
        self._runs = False

    def inside(self, plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run the module's own forward, whose ``linear`` is that function itself."""
        self._runs = True
        try:
            return plain(*args, **kwargs)
        finally:
            self._runs = False

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(zip(("input", "weight", "bias"), args, strict=False)) | dict(kwargs or {})
        own = func is nn.functional.linear and given["weight"] is self._linear.weight
        # Another bias, as SwinV2 makes for its keys, is another function.
        if not own or self._runs or given.get("bias") is not self._linear.bias:
            return func(*args, **dict(kwargs or {}))
        return self._linear(given["input"])

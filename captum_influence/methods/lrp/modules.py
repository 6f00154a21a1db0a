"""Staging: a network whose functions run as modules, so that rules can be attached to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.network.tracing import MOVES, Watch, repeated, ruleless

__all__ = ["Pooled", "Staged", "Summed", "unruled"]


class Summed(nn.Module):
    """The sum over the last dimension: of branches, laid side by side."""

    def forward(self, branches: Tensor) -> Tensor:
        return branches.sum(-1)


class Pooled(nn.AdaptiveAvgPool1d):
    """A mean or sum over some dimensions, which counts as a pooling."""

    def __init__(self, over: Callable[..., Tensor], *dims: Any, **settings: Any) -> None:
        super().__init__(1)
        self.over, self.dims, self.settings = over, dims, settings

    def forward(self, values: Tensor) -> Tensor:
        return self.over(values, *self.dims, **self.settings)


_SUMS = frozenset({"add", "__add__", "__radd__", "add_", "__iadd__", "iadd"})
_ACTIVATIONS: Mapping[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hardtanh": nn.Hardtanh,
    "softplus": nn.Softplus,
}
_POOLS: Mapping[str, Callable[..., nn.Module]] = {
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "mean": partial(Pooled, torch.mean),
    "sum": partial(Pooled, torch.sum),
}
_WINNERS = ("max_pool2d", "max_pool1d", "adaptive_max_pool2d", "amax")  # the gradient is the rule

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Tanh),
    *(nn.Sigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.PReLU),
)
_PASSING = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Flatten, nn.Unflatten, nn.Identity),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d),
)


class Staged(nn.Module):
    """A network in which sums, activations and means by functions run as modules.

    The modules are made in the first pass, in the order in which they are called.

    Args:
        network: in eval mode, nothing in it in place.
        summed: makes the module that sums over the last dimension.
    """

    def __init__(self, network: nn.Module, summed: Callable[[], nn.Module] = Summed) -> None:
        super().__init__()
        self.network = network
        self.functions = nn.ModuleList()
        self.summed = summed

    def forward(self, inputs: Tensor) -> Any:
        watch = _Stage(self)
        with watch.on(self.network), watch:
            return self.network(inputs)


class _Stage(Watch):
    """Runs functions as modules, in the order of their calls."""

    def __init__(self, staged: Staged) -> None:
        super().__init__(into_foreign=True)
        self._staged, self._place = staged, 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name, given = getattr(func, "__name__", str(func)), dict(kwargs or {})
        values = [a for a in args if isinstance(a, Tensor)]
        if self._depth or not values or not values[0].is_floating_point():
            return func(*args, **given)
        if name in _SUMS and len(args) == 2 and not given:
            return self._called(self._staged.summed)(_beside(*args))
        if name in _ACTIVATIONS:
            given.pop("inplace", None)
            return self._called(lambda: _ACTIVATIONS[name](*args[1:], **given))(args[0])
        if name in _POOLS:
            return self._called(lambda: _POOLS[name](*args[1:], **given))(args[0])
        return func(*args, **given)

    def _called(self, made: Callable[[], nn.Module]) -> nn.Module:
        functions = self._staged.functions
        if self._place == len(functions):
            functions.append(made())
        self._place += 1
        return functions[self._place - 1]


def _beside(first: Any, second: Any) -> Tensor:
    like = first if isinstance(first, Tensor) else second
    tensors = [torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (first, second)]
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))  # type: ignore[no-untyped-call]
    return torch.stack([t.expand(shape) for t in tensors], -1)


def unruled(network: nn.Module, inputs: Tensor) -> tuple[str, ...]:
    """Return what rules can't be attached to, in words, also if functions run as modules."""
    watch = Watch(into_foreign=True)
    with torch.no_grad(), watch.on(network), watch:
        network(inputs)
    kinds = {name: type(network.get_submodule(name)) for name in dict.fromkeys(watch.calls)}
    often = (*_PASSING, *_ELEMENTWISE, *_NORMS)
    known = (*_WEIGHTED, *_AVERAGES, *often)
    found = repeated(watch, [name for name, kind in kinds.items() if kind not in often])
    found += ruleless({name: kind for name, kind in kinds.items() if kind not in known})
    ruled = {*_SUMS, *_ACTIVATIONS, *_POOLS, *_WINNERS, *MOVES}
    found += [
        f"the function {name}" for name in dict.fromkeys(watch.functions) if name not in ruled
    ]
    return tuple(found)

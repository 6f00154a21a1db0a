"""Staging: a network whose functions run as modules, so that rules can be attached to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.methods.lrp.terms import Terms, follows, leaf_of, terms_of
from captum_influence.network.modes import with_graph
from captum_influence.network.tracing import MOVES, Watch, repeated, ruleless

__all__ = ["Pooled", "Scaled", "Staged", "Summed", "unruled"]


class Summed(nn.Module):
    """The sum over the last dimension: of branches, laid side by side."""

    def forward(self, branches: Tensor) -> Tensor:
        return branches.sum(-1)


class Scaled(nn.Softsign):
    """A value times what doesn't depend on the inputs, which counts as an activation.

    One entry comes of one entry, so that it hands on all of its relevance, as an activation does.
    """

    def __init__(self, factor: Tensor | float) -> None:
        super().__init__()
        self.factor = factor.detach() if isinstance(factor, Tensor) else factor

    def forward(self, values: Tensor) -> Tensor:
        return values * self.factor


class Pooled(nn.AdaptiveAvgPool1d):
    """A mean or sum over some dimensions, which counts as a pooling."""

    def __init__(self, over: Callable[..., Tensor], *dims: Any, **settings: Any) -> None:
        super().__init__(1)
        self.over, self.dims, self.settings = over, dims, settings

    def forward(self, values: Tensor) -> Tensor:
        return self.over(values, *self.dims, **self.settings)


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
_RULED = frozenset({*_ACTIVATIONS, *_POOLS, *_WINNERS, *MOVES})

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

    The modules are made in the first pass, in the order in which they are called. What requires a
    graph is taken to follow the inputs; functions of anything else run as they are.

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
        if self._depth or not any(map(follows, (*args, *given.values()))):
            return func(*args, **given)
        found = terms_of(name, args, given)
        if found is not None:
            return self._summed(found)
        if name in _ACTIVATIONS:
            given.pop("inplace", None)
            return self._called(lambda: _ACTIVATIONS[name](*args[1:], **given))(args[0])
        if name in _POOLS:
            return self._called(lambda: _POOLS[name](*args[1:], **given))(args[0])
        return func(*args, **given)

    def _summed(self, found: Terms) -> Tensor:
        """Return the sum of values times factors; each that follows the inputs by a module."""
        scaled = [self._scaled(value, factor) for value, factor in found]
        total: Tensor = scaled[0]
        if len(scaled) > 1:
            total = self._called(self._staged.summed)(_beside(*scaled))
        return total

    def _scaled(self, value: Any, factor: Any) -> Any:
        if not isinstance(factor, Tensor) and factor == 1:
            return value
        if not follows(value):
            return value * factor
        return self._called(lambda: Scaled(factor))(value)

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
    """Return what rules can't be attached to, in words, also if functions run as modules.

    Args:
        network: in eval mode, its parameters frozen: what requires a graph follows the inputs.
        inputs: run with a graph.
    """
    watch = _Look(into_foreign=True)
    with with_graph(), watch.on(network), watch:
        network(leaf_of(inputs).clone())
    kinds = {name: type(network.get_submodule(name)) for name in dict.fromkeys(watch.calls)}
    often = (*_PASSING, *_ELEMENTWISE, *_NORMS)
    known = (*_WEIGHTED, *_AVERAGES, *often)
    found = repeated(watch, [name for name, kind in kinds.items() if kind not in often])
    found += ruleless({name: kind for name, kind in kinds.items() if kind not in known})
    found += [f"the function {name}" for name in dict.fromkeys(watch.functions)]
    return tuple(found)


class _Look(Watch):
    """Notes the functions that there is no way to hand relevance through."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name, given, before = (
            getattr(func, "__name__", str(func)),
            kwargs or {},
            len(self.functions),
        )
        # Before it runs: in place, it may change what follows the inputs.
        ruled = name in _RULED or terms_of(name, args, given) is not None
        ruled = ruled or not any(map(follows, (*args, *given.values())))
        result = super().__torch_function__(func, types, args, given)
        if ruled:
            del self.functions[before:]
        return result

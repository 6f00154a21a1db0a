"""Folding: a copy of a network whose BatchNorms are part of the layers before them."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import Module
from torch.overrides import TorchFunctionMode

from captum_influence.network.cuts import tensors_in, unwrapped

__all__ = ["fold_batchnorm"]

_PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def fold_batchnorm(model: Module, inputs: Tensor | None = None) -> Module:
    r"""Return a copy in which each BatchNorm is part of the convolution or linear layer before it.

    With :math:`s = \gamma / \sqrt{\sigma^2 + \epsilon}` the layer's weights become :math:`s W`, its
    bias :math:`s (b - \mu) + \beta`, and the BatchNorm an ``nn.Identity`` of the same name. Outputs
    are the same but for rounding, and so are influences at any cut but the folded layers' own
    output, which is now that of the BatchNorm.

    Folded is what runs once and hands its result to the BatchNorm only, as :mod:`torch.fx` sees it;
    all else stays as it is. Linear layers are taken to return (examples, features).

    Args:
        model: the network, in eval mode; it isn't touched.
        inputs: run where torch.fx can't trace it: then what a pass over these hands on is folded.

    Raises:
        RuntimeError: if a part of it is in train mode.
        ValueError: if torch.fx can't trace it, and there are no inputs.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).eval()
        >>> fold_batchnorm(model)[1]
        Identity()
    """
    network = cast(Module, unwrapped(model))
    _check_mode(network)
    folded = copy.deepcopy(network)
    if not any(isinstance(module, _NORMS) for module in folded.modules()):
        return folded
    try:
        graph = _traced(copy.deepcopy(network))
    except ValueError:
        if inputs is None:
            raise
        pairs = list(_seen_pairs(folded, inputs))
    else:
        pairs = list(_pairs(graph, dict(network.named_modules())))
    for layer, norm in pairs:
        _fold(folded.get_submodule(layer), folded.get_submodule(norm))
        _replace(folded, folded.get_submodule(norm))
    return folded


def _check_mode(network: Module) -> None:
    training = [name for name, module in network.named_modules() if module.training]
    if training:
        raise RuntimeError(
            "expected a network in eval mode, where a BatchNorm has fixed statistics, but "
            f"{training[0] or 'the network'} is in train mode: call model.eval()"
        )


def _traced(network: Module) -> fx.Graph:
    try:
        return fx.Tracer().trace(network)
    except Exception as error:  # whatever it is: forward ran on stand-ins for tensors
        raise ValueError(
            f"expected a network that torch.fx can trace, but {type(network).__name__} can't be "
            f"({type(error).__name__}: {error}): fold a part of it that can, or take it as it is"
        ) from None


def _pairs(graph: fx.Graph, modules: dict[str, Module]) -> Iterator[tuple[str, str]]:
    """Yield the names of layers and of the BatchNorms that are all that reads them."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    counts = Counter(modules.get(cast(str, node.target)) for node in calls)
    reads = {str(n.target).rpartition(".")[0] for n in graph.nodes if n.op == "get_attr"}
    for node in calls:
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        names = (str(before.target), str(node.target))
        if len(before.users) > 1 or reads & set(names) or not set(names) <= set(modules):
            continue
        layer, norm = (modules[name] for name in names)
        if counts[layer] == counts[norm] == 1 and _foldable(layer, norm):
            yield names


def _seen_pairs(network: Module, inputs: Tensor) -> list[tuple[str, str]]:
    """Return the same as a pass shows it: what each BatchNorm is given, and who made that."""
    made: dict[int, str] = {}
    calls, given = Counter[str](), dict[str, Any]()

    def watch(name: str) -> Any:
        def look(module: Module, args: Any, output: Any) -> None:
            calls[name] += 1
            if isinstance(module, _NORMS):
                given[name] = args[0] if args else None
            else:
                made[id(output)] = name

        return look

    reads = _Reads()
    with ExitStack() as hooks, torch.no_grad():
        for name, module in network.named_modules():
            if not list(module.children()):
                hooks.callback(module.register_forward_hook(watch(name)).remove)
        with reads:
            returned = network(inputs.clone())
    reads.note(tensors_in(returned))
    return [
        (made[id(value)], norm)
        for norm, value in given.items()
        if id(value) in made
        and reads.counts[id(value)] == calls[norm] == calls[made[id(value)]] == 1
        and _foldable(network.get_submodule(made[id(value)]), network.get_submodule(norm))
    ]


class _Reads(TorchFunctionMode):
    """Counts how many functions read each tensor; it keeps all, so that ids stay their own."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[int]()
        self._kept: list[Any] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if tensors_in(result):  # shapes may be asked for by anyone
            self.note(tensors_in((tuple(args), dict(kwargs or {}))))
        self._kept.append(result)
        return result

    def note(self, tensors: Iterable[Tensor]) -> None:
        """Count one more reader of each."""
        self.counts.update({id(tensor) for tensor in tensors})


def _foldable(layer: Module, norm: Module) -> bool:
    # Subclasses and parametrised layers, which compute their weights, are left alone.
    known = type(layer) in (*_PLAIN, *_TRANSPOSED, nn.Linear) and "weight" in layer._parameters
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in (layer, norm))
    if not known or hooked or type(norm) not in _NORMS:
        return False
    width = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    return norm.running_mean is not None and width == norm.num_features


def _fold(layer: Any, norm: Any) -> None:
    """Put what a BatchNorm does into the weights before it; in float64, rounded once."""
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    bias = -norm.running_mean.double()
    if layer.bias is not None:
        bias = bias + layer.bias.detach().double()
    bias = scale * bias
    if norm.bias is not None:
        bias = bias + norm.bias.detach().double()
    weight = layer.weight.detach().double() * _spread(scale, layer)
    trainable = layer.weight.requires_grad
    layer.bias = nn.Parameter(bias.to(layer.weight.dtype), requires_grad=trainable)
    layer.weight = nn.Parameter(weight.to(layer.weight.dtype), requires_grad=trainable)


def _spread(scale: Tensor, layer: Any) -> Tensor:
    """Return a factor for each output channel, shaped so that the weight can be multiplied."""
    ones = [1] * (layer.weight.ndim - 2)
    if not isinstance(layer, _TRANSPOSED):
        return scale.reshape(-1, 1, *ones)
    # (inputs, outputs of a group, ...): the inputs are sorted by group
    own = scale.reshape(layer.groups, -1)
    each = own.repeat_interleave(layer.in_channels // layer.groups, dim=0)
    return each.reshape(*each.shape, *ones)


def _replace(root: Module, old: Module) -> None:
    """Put an Identity in a module's place, under each of its names."""
    new = nn.Identity().eval()
    for name, module in list(root.named_modules(remove_duplicate=False)):
        if module is old:
            parent, _, own = name.rpartition(".")
            setattr(root.get_submodule(parent), own, new)

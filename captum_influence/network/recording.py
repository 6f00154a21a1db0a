"""The passes through the user's model; the only file here that hooks it or changes its modes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import Module

from captum_influence.network.passes.checkpointing import without_checkpointing

__all__ = ["Record", "Recorder", "WithoutHooks", "quiet", "restored_weights"]


@dataclass(frozen=True, eq=False)
class Record:
    """What one layer saw in one batch: its inputs and the gradients at its outputs, per call."""

    inputs: tuple[Tensor, ...]  # per call: (batch, ...)
    gradients: tuple[Tensor, ...]  # per call: (batch, ...)

    @property
    def batch(self) -> int:
        """The number of examples."""
        return len(self.inputs[0])

    def split(self, rows: int) -> Iterator[Record]:
        """Cut the record into records of at most ``rows`` examples."""
        for start in range(0, self.batch, rows):
            part = slice(start, start + rows)
            yield Record(
                tuple(x[part] for x in self.inputs), tuple(g[part] for g in self.gradients)
            )


@contextmanager
def quiet(model: Module) -> Iterator[None]:
    """Evaluation mode and a forked random state; every module's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        model.eval()
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def restored_weights(model: Module) -> Iterator[None]:
    """Put parameters and buffers back as they were, whatever was loaded or trained meanwhile."""
    state = copy.deepcopy(model.state_dict())
    try:
        yield
    finally:
        model.load_state_dict(state)


@dataclass(eq=False)
class Recorder:
    """Runs the model on a batch and pulls vectors at its output back to every layer at once.

    Use it as a context manager. Inside, the layers' parameters require gradients so that the
    graph reaches them, but no weight gradient is ever formed: the pass stops at layer outputs.

    Args:
        model: the network.
        layers: name -> module, the layers to record.
        spare: the names of those that need not run, and then have no record.
    """

    model: Module
    layers: Mapping[str, Module]
    spare: frozenset[str] = frozenset()
    _inputs: dict[str, list[tuple[Tensor, int]]] = field(default_factory=dict, init=False)
    _edges: dict[str, list[GradientEdge]] = field(default_factory=dict, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Recorder:
        """Hook the layers and open the graph."""
        with ExitStack() as stack:
            stack.enter_context(quiet(self.model))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(without_checkpointing())
            stack.enter_context(_requiring_grad(self.layers.values()))
            for name, module in self.layers.items():
                handle = module.register_forward_hook(self._hook(name), with_kwargs=True)
                stack.callback(handle.remove)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the model as it was found."""
        self._forget()
        self._stack.close()

    def run(self, inputs: Sequence[Any]) -> Tensor:
        """Run the model once; afterwards ``pull_back`` may be called several times.

        Raises:
            TypeError: if the model's output is no tensor.
            RuntimeError: if a layer never ran.
        """
        self._forget()
        output = self.model(*inputs)
        if not isinstance(output, Tensor):
            raise TypeError(
                f"expected the model to return one tensor, got {type(output).__name__}; "
                "wrap the model so that it returns its logits"
            )
        silent = [n for n in self.layers if n not in self._edges and n not in self.spare]
        if silent:
            raise RuntimeError(
                f"expected every layer to run, but {silent} never did in this forward pass; "
                "leave these names out of layers="
            )
        return output

    def pull_back(self, output: Tensor, vectors: Tensor, *, last: bool) -> dict[str, Record]:
        """The records of all layers for ``vectors``, a gradient at the output of the model.

        Args:
            output: what ``run`` returned.
            vectors: shaped like ``output``; example i's row flows back to example i only.
            last: whether the graph may be freed.
        """
        names = [name for name, edges in self._edges.items() for _ in edges]
        edges = [edge for edges in self._edges.values() for edge in edges]
        gradients = torch.autograd.grad(
            output, edges, vectors, retain_graph=not last, allow_unused=True
        )
        found: dict[str, list[Tensor | None]] = {name: [] for name in self.layers}
        for name, gradient in zip(names, gradients, strict=True):
            found[name].append(gradient)
        ran = [
            n for n in self.layers if n not in self.spare or any(g is not None for g in found[n])
        ]
        return {name: self._record(name, found[name], len(output)) for name in ran}

    def read(self, name: str, batch: int) -> Tensor:
        """Return what a layer read in the last run, at its last call.

        Args:
            name: of the layer.
            batch: how many examples ran.

        Returns:
            (batch, ...), without a graph.

        Raises:
            RuntimeError: if it didn't run, or its examples can't be told apart.
        """
        if not self._inputs.get(name):
            raise RuntimeError(
                f"expected layer '{name}' to run, but it never did in this forward pass; name "
                "another one"
            )
        value, version = self._inputs[name][-1]
        _check_input(name, value, version, batch)
        return value

    def _record(self, name: str, gradients: Sequence[Tensor | None], batch: int) -> Record:
        inputs = []
        for value, version in self._inputs[name]:
            _check_input(name, value, version, batch)
            inputs.append(value)
        kept = [(x, g) for x, g in zip(inputs, gradients, strict=True) if g is not None]
        if not kept:
            raise RuntimeError(
                f"expected the output to depend on layer '{name}', but no gradient reaches it; "
                "leave this name out of layers="
            )
        return Record(tuple(x for x, _ in kept), tuple(g for _, g in kept))

    def _hook(self, name: str) -> Any:
        def keep(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            value = args[0] if args else next(iter(kwargs.values()))
            if not isinstance(out, Tensor) or not isinstance(value, Tensor):
                raise TypeError(
                    f"expected layer '{name}' to map one tensor to one tensor, got "
                    f"{type(value).__name__} -> {type(out).__name__}; leave it out of layers="
                )
            self._inputs.setdefault(name, []).append((value.detach(), value._version))
            self._edges.setdefault(name, []).append(get_gradient_edge(out))

        return keep

    def _forget(self) -> None:
        self._inputs.clear()
        self._edges.clear()


def _check_input(name: str, value: Tensor, version: int, batch: int) -> None:
    if value._version != version:
        raise RuntimeError(
            f"the input of layer '{name}' was changed in place after the layer had read it; "
            "make that operation out-of-place"
        )
    if value.ndim == 0 or len(value) != batch:
        raise RuntimeError(
            f"expected the input of layer '{name}' to have the batch first ({batch} examples), "
            f"got shape {tuple(value.shape)}; keep the batch dimension apart, or leave the "
            "layer out of layers="
        )


class WithoutHooks(Module):
    """A layer without its hooks, which must not run a second time."""

    def __init__(self, layer: Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *args: Any) -> Any:
        return self.layer.forward(*args)


@contextmanager
def _requiring_grad(modules: Any) -> Iterator[None]:
    parameters = [p for module in modules for p in module.parameters(recurse=False)]
    flags = [(p, p.requires_grad) for p in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)

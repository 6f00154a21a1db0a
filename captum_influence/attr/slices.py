"""Slices: a network cut open; the only place that hooks into it.

Everything that changes a user's model or the state of autograd (hooks, grad mode, frozen
parameters) happens here, inside a ``with`` block, and is undone when the block ends.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import Module

from captum_influence.attr.cuts import Cut, Forward, Tensors, picked, substituted

__all__ = ["Cut", "Reading", "Slice", "Trace"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a plain pass saw: the tensors at each cut and the output at ``measure_at``."""

    cuts: tuple[Tensors, ...]
    output: Any


@dataclass(frozen=True, eq=False)
class Trace:
    """What a pass with a graph saw: an edge per tensor per cut, and the output to differentiate."""

    edges: tuple[tuple[GradientEdge, ...], ...]
    like: tuple[Tensors, ...]
    output: Any


class Slice:
    """A network cut at the attributed layers, and where points enter and the quantity is read.

    Args:
        forward_func: the network, or a function that runs it.
        cuts: where it is attributed.
        sample_at: where points enter; None: at the inputs.
        measure_at: what the quantity reads; None: what ``forward_func`` returns.
        differentiable: keep the graph from the inputs to the result, for ``create_graph``.
    """

    def __init__(
        self,
        forward_func: Forward,
        cuts: Sequence[Cut],
        *,
        sample_at: Cut | None = None,
        measure_at: Cut | None = None,
        differentiable: bool = False,
    ) -> None:
        self._forward = _unwrapped(forward_func)
        self.cuts = tuple(cut.within(self._forward) for cut in cuts)
        self.sample_at = None if sample_at is None else sample_at.within(self._forward)
        self.measure_at = None if measure_at is None else measure_at.within(self._forward)
        self._differentiable = differentiable
        self._verified = False
        _check_batch_independent(self._forward)

    def admitted(self, x: Tensor) -> Tensor:
        """Return an input without a history, unless the result shall be differentiable."""
        x = x.clone() if x.is_inference() else x
        return x if self._differentiable else x.detach()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the network for this thread, its parameters frozen and compiled parts eager."""
        with ExitStack() as stack:
            stack.enter_context(_held(self._forward))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(_eager())
            if not self._differentiable:
                stack.enter_context(_frozen(self._forward))
            yield

    def read(
        self,
        inputs: Tensors,
        extra: tuple[Any, ...],
        *,
        cuts: Sequence[Cut] = (),
        overwrite: Mapping[Cut, Tensors] | None = None,
    ) -> Reading:
        """Run without a graph and return copies of what passes the cuts, and the output."""
        overwriters = [_Overwrite(cut, new) for cut, new in (overwrite or {}).items()]
        readers = [_Read(cut) for cut in cuts]
        with torch.no_grad():
            output = self._run(inputs, extra, [*overwriters, *readers], stop=False)
        return Reading(tuple(reader.found for reader in readers), output)

    def trace(self, inputs: Tensors, extra: tuple[Any, ...], points: Tensors) -> Trace:
        """Run with the points in place, and a graph that starts at the first cut they meet."""
        overwriters = [] if self.sample_at is None else [_Overwrite(self.sample_at, points)]
        roots = [_Root(cut) for cut in self.cuts]
        with torch.set_grad_enabled(self._differentiable):
            output = self._run(inputs, extra, [*overwriters, *roots], stop=self._verified)
        self._verified = True
        return Trace(
            tuple(root.edges for root in roots), tuple(root.found for root in roots), output
        )

    def largest_activation(self, inputs: Tensors, extra: tuple[Any, ...]) -> int:
        """Return the bytes of the largest tensor that a module returns for these inputs."""
        sizes = [max(x.nbytes for x in inputs)]

        def measure(module: Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                sizes.append(output.nbytes)

        modules = self._forward.modules() if isinstance(self._forward, Module) else ()
        with ExitStack() as hooks:
            for module in modules:
                hooks.callback(module.register_forward_hook(measure).remove)
            self.read(inputs, extra)
        return max(sizes)

    def _run(
        self, inputs: Tensors, extra: tuple[Any, ...], visits: list[_Visit], *, stop: bool
    ) -> Any:
        measure = None if self.measure_at is None else _Read(self.measure_at, stop=stop)
        visits = visits if measure is None else [*visits, measure]
        with ExitStack() as hooks:
            for visit in visits:
                hooks.enter_context(visit.hooked())
            try:
                output = self._forward(*inputs, *extra)
            except _Measured:
                output = None
        for visit in visits:
            visit.check()
        return output if measure is None else measure.value


class _Measured(Exception):
    """Ends a forward pass once the quantity's tensor is known."""


class _Visit:
    """One cut during one forward pass: counts its calls and acts on the one that was asked for."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.found: Tensors = ()
        self._calls = 0
        self._thread = threading.get_ident()

    def act(self, tensors: Tensors) -> Tensors:
        """Look at the tensors that pass the cut and return what shall go on in their place."""
        raise NotImplementedError  # pragma: no cover

    @contextmanager
    def hooked(self) -> Iterator[None]:
        module = cast(Module, self.cut.module)
        if self.cut.side == "output":
            handle = module.register_forward_hook(self._after)
        else:
            handle = module.register_forward_pre_hook(self._before, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def check(self) -> None:
        wanted = self.cut.call or 0
        if self._calls <= wanted:
            raise RuntimeError(
                f"the layer never ran: {self.cut} was called {self._calls} time(s) in the forward "
                "pass; pick a layer (and a call) that the network uses for this input"
            )
        if self.cut.call is None and self._calls > 1:
            raise RuntimeError(
                f"the layer ran {self._calls} times in one forward pass: say which call is meant, "
                f"e.g. Cut(layer, {self.cut.side!r}, call=0)"
            )

    def _after(self, module: Module, args: Any, output: Any) -> Any:
        return self._visit(output)

    def _before(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changed = self._visit((*args, *kwargs.values()))
        if changed is None:
            return None
        return changed[: len(args)], dict(zip(kwargs, changed[len(args) :], strict=True))

    def _visit(self, value: Any) -> Any:
        if threading.get_ident() != self._thread:
            return None
        self._calls += 1
        if self._calls - 1 != (self.cut.call or 0):
            return None
        tensors = picked(value, self.cut)
        for old, new in zip(tensors, self.act(tensors), strict=True):
            if new is not old:
                value = substituted(value, old, new)
        return value


class _Read(_Visit):
    """Keeps a copy, since a later in-place module may change the tensor."""

    def __init__(self, cut: Cut, *, stop: bool = False) -> None:
        super().__init__(cut)
        self._stop = stop
        self.value: Any = None

    def act(self, tensors: Tensors) -> Tensors:
        self.found = tuple(tensor.clone() for tensor in tensors)
        self.value = self.found[0] if len(self.found) == 1 else self.found
        if self._stop:
            raise _Measured
        return tensors


class _Overwrite(_Visit):
    """Lets other tensors go on in place of those that came."""

    def __init__(self, cut: Cut, new: Tensors) -> None:
        super().__init__(cut)
        self._new = new

    def act(self, tensors: Tensors) -> Tensors:
        if [t.shape for t in tensors] != [t.shape for t in self._new]:
            raise ValueError(
                f"expected points of shapes {[tuple(t.shape) for t in tensors]} at the "
                f"{self.cut}, got {[tuple(t.shape) for t in self._new]}"
            )
        return self._new


class _Root(_Visit):
    """Starts the graph at tensors that carry none, and remembers where gradients arrive."""

    edges: tuple[GradientEdge, ...] = ()

    def act(self, tensors: Tensors) -> Tensors:
        torch.set_grad_enabled(True)
        rooted = tuple(_rooted(tensor) for tensor in tensors)
        self.edges = tuple(get_gradient_edge(tensor) for tensor in rooted)
        self.found = tuple(tensor.detach() for tensor in rooted)
        return rooted


class _StartOfGraph(torch.autograd.Function):
    """Passes a tensor on as the start of a graph: no copy, and safe before in-place modules."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, hidden: list[Tensor]) -> Tensor:
        return hidden[0].detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None]:
        return None, None


def _rooted(tensor: Tensor) -> Tensor:
    if not tensor.requires_grad:
        anchor = torch.zeros((), device=tensor.device, requires_grad=True)
        return cast(Tensor, _StartOfGraph.apply(anchor, [tensor]))  # type: ignore[no-untyped-call]
    # An in-place module rewrites the history of a view and forbids itself a leaf: hand on a copy.
    return tensor.clone() if tensor.is_leaf or tensor._is_view() else tensor


def _unwrapped(forward_func: Forward) -> Forward:
    """Return the network inside DataParallel or torch.compile, whose own hooks are ours to set."""
    if isinstance(forward_func, torch.nn.DataParallel):
        if len(forward_func.device_ids or ()) > 1:
            raise ValueError(
                f"the network runs on {len(forward_func.device_ids)} devices by DataParallel: "
                "pass model.module, and start one process per device with torchrun"
            )
        return _unwrapped(forward_func.module)
    if isinstance(forward_func, Module) and hasattr(forward_func, "_orig_mod"):
        return _unwrapped(cast(Module, forward_func._orig_mod))
    return forward_func


def _check_batch_independent(forward_func: Forward) -> None:
    modules = forward_func.named_modules() if isinstance(forward_func, Module) else ()
    for name, module in modules:
        if not isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            continue
        if module.training or module.running_mean is None:
            raise RuntimeError(
                f"{name or 'the network'}, a {type(module).__name__}, normalises over the batch, "
                "so examples and points would change one another: call model.eval() (and keep "
                "track_running_stats=True)"
            )


_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()


@contextmanager
def _held(forward_func: Forward) -> Iterator[None]:
    """Let one thread at a time explain a network."""
    if not isinstance(forward_func, Module):
        yield
        return
    with _locks_lock:
        lock = _locks.setdefault(forward_func, threading.RLock())
    with lock:
        yield


@contextmanager
def _frozen(forward_func: Forward) -> Iterator[None]:
    """Let no parameter require a gradient, so that none is computed and no input kept for it."""
    parameters = list(forward_func.parameters()) if isinstance(forward_func, Module) else []
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextmanager
def _eager() -> Iterator[None]:
    """Run compiled modules eagerly, since a compiled graph doesn't see hooks set later."""
    set_stance = getattr(torch.compiler, "set_stance", None)  # from torch 2.6 on
    if set_stance is None:
        yield
        return
    with set_stance("force_eager"):
        yield

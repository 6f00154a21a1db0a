"""Visits: what is done to the tensors that pass a cut during one forward pass."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import Module

from captum_influence.network.cuts import Cut, Tensors, picked, substituted
from captum_influence.network.passes.codes import acting_on_codes
from captum_influence.network.passes.holding import noted
from captum_influence.network.passes.windows import acting_on_windows

__all__ = ["Fill", "Mark", "Measured", "Overwrite", "Read", "Root", "Visit", "handed_on"]


class Measured(Exception):
    """Ends a forward pass once the quantity's tensor is known."""


class Visit(ABC):
    """One cut during one forward pass: counts its calls and acts on the one that was asked for."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.found: Tensors = ()
        self._calls = 0
        self._thread = threading.get_ident()

    @property
    def done(self) -> bool:
        """Whether the call that is meant has come."""
        return self._calls > (self.cut.call or 0)

    @abstractmethod
    def act(self, tensors: Tensors) -> Tensors:
        """Look at the tensors that pass the cut and return what shall go on in their place."""

    @contextmanager
    def hooked(self, hidden: Counter[Module]) -> Iterator[None]:
        """Hook into the cut's module, ``hidden`` of whose calls won't be seen."""
        module = cast(Module, self.cut.module)
        self._calls = hidden[module]
        if self.cut.side == "output":
            handle = module.register_forward_hook(self._after)
        else:
            handle = module.register_forward_pre_hook(self._before, with_kwargs=True)
        with noted(handle.remove):
            yield

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
        act = acting_on_windows(acting_on_codes(self.act, self.cut), self.cut)
        changed = act(tensors)
        same = all(new is old for old, new in zip(tensors, changed, strict=True))
        return value if same else substituted(value, tensors, changed)


class Read(Visit):
    """Keeps a copy, since a later in-place module may change the tensor.

    ``stop``: end the pass there, if all that had to come before has come.
    """

    def __init__(self, cut: Cut, *, stop: bool = False, after: Sequence[Visit] = ()) -> None:
        super().__init__(cut)
        self._stop, self._others = stop, after
        self.value: Any = None

    def act(self, tensors: Tensors) -> Tensors:
        self.found = tuple(tensor.clone() for tensor in tensors)
        self.value = self.found[0] if len(self.found) == 1 else self.found
        if self._stop and all(visit.done for visit in self._others):
            raise Measured
        return tensors


class Mark(Visit):
    """Tells that a forward pass has come to the cut."""

    def __init__(self, cut: Cut, tell: Callable[[], None]) -> None:
        super().__init__(cut)
        self._tell = tell

    def act(self, tensors: Tensors) -> Tensors:
        self._tell()
        return tensors


class Fill(Visit):
    """Lets zeros go on, where a replay handed on tensors without memory."""

    def act(self, tensors: Tensors) -> Tensors:
        return tuple(t.new_zeros(t.shape) for t in tensors)


class Overwrite(Visit):
    """Lets other tensors go on in place of those that came; ``rooted``: with a graph."""

    def __init__(self, cut: Cut, new: Tensors, *, rooted: bool = False) -> None:
        super().__init__(cut)
        self._new, self._rooted = new, rooted

    def act(self, tensors: Tensors) -> Tensors:
        if [t.shape for t in tensors] != [t.shape for t in self._new]:
            raise ValueError(
                f"expected points of shapes {[tuple(t.shape) for t in tensors]} at the "
                f"{self.cut}, got {[tuple(t.shape) for t in self._new]}"
            )
        # An in-place module may follow, and the points be views of what is needed again.
        new = tuple(tensor.clone() for tensor in self._new)
        if not self._rooted:
            return new
        torch.set_grad_enabled(True)
        return tuple(handed_on(tensor) for tensor in new)


class Root(Visit):
    """Remembers where the gradients of what passes arrive, and starts the graph if there is none.

    Another tensor goes on, of the same memory: its gradient is that of those who read it here, not
    of others who read the tensor that came (a skip connection around a Dropout, say). Only of a
    cut that is ``shared`` does the very tensor go on, which then must have a graph already.
    """

    edges: tuple[GradientEdge, ...] = ()

    def act(self, tensors: Tensors) -> Tensors:
        torch.set_grad_enabled(True)
        if self.cut.shared:
            rooted = tensors
            if not all(tensor.requires_grad for tensor in tensors):
                raise RuntimeError(
                    f"expected a graph at the {self.cut}, got a tensor without: the network "
                    "detaches it or runs under no_grad; Cut(layer, 'input') means this module's "
                    "reading of it alone, and needs none"
                )
        else:
            rooted = tuple(handed_on(tensor) for tensor in tensors)
        self.edges = tuple(get_gradient_edge(tensor) for tensor in rooted)
        self.found = tuple(tensor.detach() for tensor in rooted)
        return rooted


class _HandedOn(torch.autograd.Function):
    """Another tensor of the same memory, with an edge of its own in the graph.

    No copy, and safe before in-place modules: autograd forbids these for views and leaves, and
    what is hidden in a list is neither.
    """

    @staticmethod
    def forward(ctx: Any, source: Tensor, hidden: list[Tensor]) -> Tensor:
        ctx.is_start = source is not hidden[0]
        return hidden[0].detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None]:
        return (None if ctx.is_start else grads[0]), None


def handed_on(tensor: Tensor) -> Tensor:
    """Return a tensor of the same memory that is the start of a graph, or goes on with one."""
    source = tensor
    if not tensor.requires_grad:
        source = torch.zeros((), device=tensor.device, requires_grad=True)
    elif tensor._is_view():
        # What an in-place module does to the memory would reach what others have saved of its base.
        return tensor.clone()
    return cast(Tensor, _HandedOn.apply(source, [tensor]))  # type: ignore[no-untyped-call]

"""Interventions: what passes a cut is changed, and the network goes on with it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from torch import Tensor
from torch.nn import Module

from captum_influence.network.cuts import Cut, Tensors, refuse_shared, unwrapped
from captum_influence.network.passes.attention import heads_apart
from captum_influence.network.passes.checkpointing import without_checkpointing
from captum_influence.network.passes.holding import noted, plain
from captum_influence.network.passes.hooks import Visit

__all__ = ["intervene"]


@contextmanager
def intervene(
    model: Module, cut: Cut | Module | str, change: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Let every forward pass within the block go on with changed activations at a cut.

    Gradients flow through the change. Other threads see the network as it is. All is undone when
    the block ends, also by an error.

    Args:
        model: the network; compiled ones run eagerly within the block.
        cut: where; one tensor must pass there.
        change: given the activations (examples, ...), returns others of the same shape.

    Raises:
        ValueError: if the layer isn't part of the network, or the change returns another shape.
        RuntimeError: in a forward pass, if the layer doesn't run, or more often than is said.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        >>> with intervene(model, "1", lambda z: z * 0 + 5):
        ...     model(torch.rand(1, 2)).tolist()
        [[5.0, 5.0]]
    """
    network = cast(Module, unwrapped(model))
    place = Cut.ensure(cut).within(network)
    refuse_shared(place)
    visit = _Change(place, change)
    with ExitStack() as stack:
        stack.enter_context(plain())
        stack.enter_context(heads_apart([network], [cast(Module, place.module)]))
        stack.enter_context(without_checkpointing())
        stack.enter_context(noted(network.register_forward_pre_hook(visit.begin).remove))
        stack.enter_context(visit.hooked(Counter()))
        for handle in (
            network.register_forward_hook(visit.verify),
            network.register_forward_hook(visit.end, always_call=True),
        ):
            stack.enter_context(noted(handle.remove))
        yield


class _Change(Visit):
    """Lets changed tensors go on, in each of many forward passes."""

    def __init__(self, cut: Cut, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__(cut)
        self._change = change
        self._within_pass = False

    def begin(self, module: Module, args: Any) -> None:
        """Count the layer's calls anew."""
        if threading.get_ident() == self._thread:
            self._calls, self._within_pass = 0, True

    def verify(self, module: Module, args: Any, output: Any) -> None:
        """Check that the layer has run in this pass, and as often as was said."""
        if threading.get_ident() == self._thread:
            self.check()

    def end(self, module: Module, args: Any, output: Any) -> None:
        """Note that the pass is over, also by an error."""
        if threading.get_ident() == self._thread:
            self._within_pass = False

    def _visit(self, value: Any) -> Any:
        if not self._within_pass and threading.get_ident() == self._thread:
            self._calls = 0  # a part of the network runs by itself
        return super()._visit(value)

    def act(self, tensors: Tensors) -> Tensors:
        if len(tensors) > 1:
            raise TypeError(
                f"expected one tensor at the {self.cut}, got {len(tensors)}: pick one with "
                "Cut(layer, select=...)"
            )
        changed = self._change(tensors[0])
        if changed.shape != tensors[0].shape:
            raise ValueError(
                f"expected changed activations of shape {tuple(tensors[0].shape)} at the "
                f"{self.cut}, got {tuple(changed.shape)}"
            )
        return (changed,)

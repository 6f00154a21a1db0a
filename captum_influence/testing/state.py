"""What checks watch: random state, grad mode, inputs and networks are left as they were."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.testing.agreement import require

__all__ = ["preserved", "quietly", "seed_all", "unchanged"]


def quietly(call: Callable[[], Any], tensors: Sequence[Tensor], name: str) -> Any:
    """Return what a call returns, and check that it left tensors and random state alone."""
    before = [tensor.clone() for tensor in tensors]
    with preserved(check=name):
        found = call()
    kept = all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    require(kept, f"{name} changed a tensor that it was given, in place")
    return found


@contextmanager
def preserved(check: str | None = None) -> Iterator[None]:
    """Restore the global random state after; with ``check``, demand that nothing moved it."""
    before, enabled = _random_state(), torch.is_grad_enabled()
    try:
        yield
    finally:
        after, still = _random_state(), torch.is_grad_enabled()
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])  # noqa: NPY002  # the legacy state is what others share
    if check is not None:
        moved = not torch.equal(before[0], after[0]) or repr(before[1:]) != repr(after[1:])
        require(not moved, f"{check} moved the global random state: use a generator of its own")
        require(enabled == still, f"{check} left the grad mode changed")


def _random_state() -> tuple[Tensor, Any, Any]:
    return torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002


def seed_all(seed: int) -> None:
    """Seed every global generator that a distribution could be drawing from."""
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


@contextmanager
def unchanged(network: Any) -> Iterator[None]:
    """Demand that a network is left as it was found."""
    before = _state(network)
    yield
    for name, value in _state(network).items():
        require(value == before[name], f"attribute() left {name} of the network changed")


def _state(network: Any) -> dict[str, Any]:
    modules = list(network.modules()) if isinstance(network, Module) else []
    tensors = [*network.parameters(), *network.buffers()] if isinstance(network, Module) else []
    return {
        "hooks": [
            (list(m._forward_hooks), list(m._forward_pre_hooks), list(m._backward_hooks))
            for m in modules
        ],
        "the mode (train or eval)": [m.training for m in modules],
        "a method or attribute": [sorted(m.__dict__) for m in modules],
        "requires_grad": [t.requires_grad for t in tensors],
        "the gradients": [None if t.grad is None else t.grad.sum().item() for t in tensors],
        "parameters or buffers": [t._version for t in tensors],
    }

"""The definition, slowly: hooks and ``autograd.grad``, one example, one point, one cut at a time.

The tensor at the cut is replaced by a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence import Cut, Quantity

from .networks import buffers_kept, origin_of
from .questions import Case


def replica(asked: Case, cut: Cut) -> Tensor:
    """Return the influences, or contributions, at one cut: an example and a point at a time."""
    model, q = asked.model, asked.quantity
    origin = origin_of(model, asked.inputs, asked.sample_at, asked.own)
    points = list(asked.distribution.points((origin,)))
    reference = asked.distribution.reference((origin,))
    rows = []
    for i in range(len(asked.inputs)):
        x, extra, row = asked.inputs[i : i + 1], asked.own(i), slice(i, i + 1)
        fixed = q.resolve(_value(model, x, extra))
        total: Tensor | float = 0.0
        z = _activation(asked, cut, x, extra, origin[row])
        for item in points:
            entry = item.point[0][row]
            gradient = _gradient(asked, cut, x, extra, entry, fixed)
            if asked.multiply:
                start = item.anchor if item.anchor is not None else reference
                begin = 0.0
                if start is not None:
                    begin = _activation(asked, cut, x, extra, start[0][row])
                gradient = gradient * (z - begin)
            total = total + item.weight * gradient
        rows.append(total)
    return torch.cat(rows)  # type: ignore[arg-type]  # tensors, once there is a point


def _value(model: Any, x: Tensor, extra: tuple[Any, ...]) -> Any:
    with torch.no_grad(), buffers_kept(model):
        return model(x, *extra)


@contextmanager
def _entering(asked: Case, entry: Tensor) -> Iterator[None]:
    """Let a point pass ``sample_at``."""
    if asked.sample_at is None:
        yield
        return
    module = asked.model.get_submodule(asked.sample_at.module)
    handle = module.register_forward_hook(lambda m, a, out: entry.clone())
    yield
    handle.remove()


@contextmanager
def _passing(asked: Case, cut: Cut, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let a change of the tensor pass a cut."""
    module = asked.model.get_submodule(cut.module)
    if cut.side == "output":

        def after(m: nn.Module, args: Any, out: Any) -> Any:
            return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)

        handle = module.register_forward_hook(after)
    else:
        handle = module.register_forward_pre_hook(lambda m, args: (change(args[0]), *args[1:]))
    yield
    handle.remove()


def _activation(asked: Case, cut: Cut, x: Tensor, extra: tuple[Any, ...], entry: Tensor) -> Tensor:
    seen: list[Tensor] = []

    def look(tensor: Tensor) -> Tensor:
        seen.append(tensor.detach().clone())
        return tensor

    given = x if asked.sample_at is not None else entry
    with (
        torch.no_grad(),
        buffers_kept(asked.model),
        _entering(asked, entry),
        _passing(asked, cut, look),
    ):
        asked.model(given.clone(), *extra)
    return seen[0]


def _gradient(
    asked: Case, cut: Cut, x: Tensor, extra: tuple[Any, ...], entry: Tensor, q: Quantity
) -> Tensor:
    leaf: list[Tensor] = []

    def replace(tensor: Tensor) -> Tensor:
        leaf.append(tensor.detach().clone().requires_grad_())
        return leaf[0].clone()

    given = x if asked.sample_at is not None else entry
    form, asked.model.form = getattr(asked.model, "form", ""), "plain"
    with buffers_kept(asked.model), _entering(asked, entry), _passing(asked, cut, replace):
        output = asked.model(given.clone(), *extra)
    asked.model.form = form
    output = (output,) if form == "tuple" else output
    value = q.rows(torch.zeros(1, dtype=torch.long))(output) if q.examples else q(output)
    return torch.autograd.grad(value.sum(), leaf[0])[0]

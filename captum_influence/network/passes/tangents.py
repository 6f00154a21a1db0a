"""How fast activations change as the points of a pass move."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from captum_influence.network.cuts import Cut, Tensors
from captum_influence.network.passes.arguments import Bound
from captum_influence.network.passes.seen import Reading
from captum_influence.network.slices import Slice

__all__ = ["Moving", "apart", "forward_mode", "moving", "rates"]

_dual: Any = forward_ad.make_dual  # torch left them without types
_unpacked: Any = forward_ad.unpack_dual


@dataclass(frozen=True, eq=False)
class Moving:
    """Rows whose points move.

    Attributes:
        inputs: of the network, where points enter elsewhere.
        bound: its further arguments.
        examples: to which example each row belongs.
        points: x, where they enter, (rows, ...).
        directions: v, where they move to, shaped like the points.
    """

    inputs: Tensors
    bound: Bound
    examples: Tensor
    points: Tensors
    directions: Tensors


def rates(slice_: Slice, cuts: Sequence[Cut], moving: Moving) -> tuple[Tensors, ...]:
    r"""Return :math:`\frac{d}{d\alpha} z(x + \alpha v)` at each cut, for :math:`\alpha = 0`.

    That is one pass in forward mode. Where a function has no derivative in that mode (an
    ``autograd.Function`` without ``jvp``, say), the rates come of going backward twice: what goes
    back to the points is linear in the slopes that it starts with, and its derivative by these is
    the rate.

    Raises:
        RuntimeError: if a function has neither.
    """
    # Fused attention has neither; written out, it has both.
    with sdpa_kernel(SDPBackend.MATH):
        lacks = "tried before"
        if slice_ not in _backward_only:
            try:
                return _in_forward_mode(slice_, cuts, moving)
            except RuntimeError as error:  # NotImplementedError is one
                lacks = _first_line(error)
                _backward_only.add(slice_)
        try:
            return _backward_twice(slice_, cuts, moving)
        except RuntimeError as error:
            raise RuntimeError(
                "expected functions before the layer that can be differentiated in forward mode, "
                f"or backward twice, got one that can't: {lacks}; {_first_line(error)}. Give that "
                'autograd.Function a jvp, or ask for displacement="end", which needs neither'
            ) from error


@contextmanager
def forward_mode() -> Iterator[None]:
    """Within the block, tensors may be :func:`moving`, and what is computed of them moves, too.

    Raises:
        RuntimeError: if a function has no derivative in that mode.
    """
    with sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level(), warnings.catch_warnings():
        # Its first call scripts decompositions, which torch tells its own users not to do.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        except NotImplementedError as error:
            raise RuntimeError(
                "expected functions that can be differentiated in forward mode, got one that "
                f"can't: {_first_line(error)}. Give that autograd.Function a jvp"
            ) from error


def moving(values: Tensor, tangent: Tensor) -> Tensor:
    """Return values that move at this rate, within :func:`forward_mode`."""
    found: Tensor = _dual(values, tangent)
    return found


def apart(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return values, and how fast they move, within :func:`forward_mode`."""
    return _unpacked(z).primal, _tangent(z)


def _in_forward_mode(slice_: Slice, cuts: Sequence[Cut], moving: Moving) -> tuple[Tensors, ...]:
    with forward_ad.dual_level():
        pairs = zip(moving.points, moving.directions, strict=True)
        with warnings.catch_warnings():
            # Its first call scripts decompositions, which torch tells its own users not to do.
            warnings.simplefilter("ignore", DeprecationWarning)
            points = tuple(_dual(x, v) for x, v in pairs)
        reading = _read(slice_, cuts, moving, points)
        return tuple(tuple(map(_tangent, cut)) for cut in reading.cuts)


def _tangent(z: Tensor) -> Tensor:
    primal, tangent = _unpacked(z)
    return torch.zeros_like(primal) if tangent is None else tangent


def _backward_twice(slice_: Slice, cuts: Sequence[Cut], moving: Moving) -> tuple[Tensors, ...]:
    keep = slice_.differentiable
    points = tuple(x if x.requires_grad else x.detach().requires_grad_() for x in moving.points)
    reading = _read(slice_, cuts, moving, points, graph=True)
    found = [z for cut in reading.cuts for z in cut]
    moved = [z for z in found if z.requires_grad]
    with torch.enable_grad():
        slopes = [torch.zeros_like(z, requires_grad=True) for z in moved]
        back = torch.autograd.grad(moved, points, slopes, create_graph=True, materialize_grads=True)
        products = [(g * v).sum() for g, v in zip(back, moving.directions, strict=True)]
        total = torch.stack(products).sum()
        _check_twice(total)
        ours = torch.autograd.grad(total, slopes, create_graph=keep, materialize_grads=True)
    by_tensor = dict(zip(map(id, moved), ours, strict=True))
    return tuple(
        tuple(by_tensor.get(id(z), torch.zeros_like(z)) for z in cut) for cut in reading.cuts
    )


def _check_twice(value: Tensor) -> None:
    """Refuse what is once differentiable: asked for other inputs, autograd finds no slope there."""
    seen, ahead = set[Any](), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        if node.name().endswith("Error"):
            raise RuntimeError("one was marked with @once_differentiable")
        seen.add(node)
        ahead += [following for following, _ in node.next_functions]


def _read(
    slice_: Slice, cuts: Sequence[Cut], moving: Moving, points: Tensors, *, graph: bool = False
) -> Reading:
    """Read the cuts with the points in place, and go no further."""
    sample_at = slice_.sample_at
    return slice_.read(
        points if sample_at is None else moving.inputs,
        moving.bound,
        cuts=cuts,
        overwrite={} if sample_at is None else {sample_at: points},
        examples=moving.examples,
        cuts_only=True,
        graph=graph,
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(". ")[0]


_backward_only: WeakSet[Slice] = WeakSet()

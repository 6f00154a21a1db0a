"""What becomes of the dimensions of a tensor in a function, and which of them counts channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

__all__ = ["Dimensions", "channels_by", "followed"]

Shape = tuple[int, ...]
Dimensions = tuple[int | None, ...]
"""For each dimension of a tensor, which of another it is; None: none."""


def channels_by(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int | None:
    """Return where a function has channels, in what it is given and returns; None: it doesn't say.

    Args:
        name: the function's.
        args: what it is given.
        kwargs: what it is given by name.
    """
    if name in ("layer_norm", "rms_norm"):
        over = kwargs.get("normalized_shape", args[1] if len(args) > 1 else ())
        return -1 if len(tuple(over)) == 1 else None
    if name == "prelu":
        weight = kwargs.get("weight", args[1] if len(args) > 1 else None)
        return 1 if isinstance(weight, Tensor) and weight.numel() > 1 else None
    return 1 if name in _FIRST else -1 if name in _LAST else None


_FIRST = frozenset(
    (
        *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        *("batch_norm", "instance_norm", "group_norm", "pixel_shuffle", "pixel_unshuffle"),
    )
)
_LAST = frozenset(
    (
        *("linear", "embedding", "lstm", "gru", "rnn_tanh", "rnn_relu"),
        *("multi_head_attention_forward", "_native_multi_head_attention"),
        "_transformer_encoder_layer_fwd",
    )
)


def followed(name: str, before: Shape, after: Shape, args: Any, kwargs: Any) -> Dimensions:
    """Return which dimension each of a tensor's becomes in a function's result.

    Args:
        name: the function's.
        before: the shape of a tensor that it is given.
        after: that of one that it returns.
        args: all that it is given.
        kwargs: what it is given by name.
    """
    if name in _MIXING or name in _FIRST - _NORMS or name in _LAST:
        return (None,) * len(before)
    if name in _MOVING:
        try:
            order = _MOVING[name](len(before), *args[1:], **kwargs)
        except (TypeError, IndexError, ValueError):
            return (None,) * len(before)
        return tuple(order.index(d) if d in order else None for d in range(len(before)))
    if name in _RESHAPING:
        return _reshaped(before, after)
    if name in _SPATIAL | _JOINING and len(before) == len(after):
        return tuple(range(len(before)))
    if name in _REDUCING and len(before) != len(after):
        return (None,) * len(before)
    return _aligned(before, after)


def _reshaped(before: Shape, after: Shape) -> Dimensions:
    """Return which dimensions stay, of a tensor whose entries are in the same order as before."""
    starts = {math.prod(after[:d]): d for d in range(len(after)) if after[d] > 1}
    places = [starts.get(math.prod(before[:d])) for d in range(len(before))]
    return tuple(
        p if p is not None and after[p] == before[d] > 1 else None for d, p in enumerate(places)
    )


def _aligned(before: Shape, after: Shape) -> Dimensions:
    """Return the dimensions as broadcasting lays them, where they are as long."""
    shift = len(after) - len(before)
    if shift < 0:
        return (None,) * len(before)
    return tuple(d + shift if after[d + shift] == n else None for d, n in enumerate(before))


def _swapped(count: int, first: int, second: int) -> list[int]:
    order = list(range(count))
    order[first], order[second] = order[second], order[first]
    return order


def _swapped_by_name(count: int, *dims: int, **named: int) -> list[int]:
    first, second = (*dims, *named.values())
    return _swapped(count, first, second)


def _permuted(count: int, *dims: Any, **named: Any) -> list[int]:
    listed = (*dims, *named.values())
    order = listed[0] if len(listed) == 1 and not isinstance(listed[0], int) else listed
    return [d % count for d in order]


def _put(count: int, source: Any, destination: Any) -> list[int]:
    pairs = [
        [d % count for d in ((value,) if isinstance(value, int) else tuple(value))]
        for value in (source, destination)
    ]
    order: list[int | None] = [None] * count
    for old, new in zip(*pairs, strict=True):
        order[new] = old
    rest = iter(d for d in range(count) if d not in pairs[0])
    return [next(rest) if d is None else d for d in order]


def _reduced(count: int, dim: Any = None, keepdim: bool = False, **named: Any) -> list[int]:
    given = named.get("axis", dim)
    over = {d % count for d in ((given,) if isinstance(given, int) else tuple(given))}
    return list(range(count)) if keepdim else [d for d in range(count) if d not in over]


def _without(count: int, dim: int = 0, *rest: Any, **named: Any) -> list[int]:
    return [d for d in range(count) if d != dim % count]


def _stacked(count: int, dim: int = 0) -> list[int]:
    order = list(range(count))
    order.insert(dim % (count + 1), -1)  # a new one
    return order


def _indexed(count: int, index: Any) -> list[int]:
    listed = list(index) if isinstance(index, tuple) else [index]
    if any(not isinstance(i, int | slice | None | type(...)) for i in listed):
        raise TypeError("an index that gathers")
    spent = sum(i is not None and i is not ... for i in listed)
    if ... not in listed:
        listed.append(...)
    order, place = list[int](), 0
    for i in listed:
        if i is None:
            order.append(-1)
        elif i is ...:
            order += range(place, place + count - spent)
            place += count - spent
        else:
            order += [place] if isinstance(i, slice) else []
            place += 1
    return order


# Each returns for every dimension of the result which one of the tensor it was.
_MOVING: Mapping[str, Callable[..., list[int]]] = {
    **dict.fromkeys(("permute",), _permuted),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), _swapped_by_name),
    **dict.fromkeys(("movedim", "moveaxis"), _put),
    **dict.fromkeys(("t", "T"), lambda count: list(range(count))[::-1]),
    **dict.fromkeys(("mT", "mH", "adjoint"), lambda count: _swapped(count, -2, -1)),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "logsumexp", "prod", "std", "var"), _reduced),
    **dict.fromkeys(("select", "unbind"), _without),
    "stack": _stacked,
    "__getitem__": _indexed,
}
_RESHAPING = frozenset(
    (
        *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as"),
        *("reshape_as", "ravel", "_unsafe_view"),
    )
)
_NORMS = frozenset({"batch_norm", "instance_norm", "group_norm"})
_SPATIAL = frozenset(
    (
        *(f"{kind}_pool{n}d" for kind in ("max", "avg", "lp") for n in (1, 2, 3)),
        *(f"adaptive_{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)),
        *("interpolate", "upsample", "pad", "grid_sample", "narrow", "split", "chunk"),
        *("tensor_split", "unsafe_chunk", "boolean_dispatch"),
    )
)
_JOINING = frozenset({"cat", "concat", "concatenate", "hstack", "vstack"})
_REDUCING = frozenset({"max", "min", "argmax", "median", "norm", "cumsum"})
# What adds up over a dimension puts another in its place, even of the same length.
_MIXING = frozenset(
    (
        *("matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm", "einsum"),
        *("tensordot", "bilinear", "unfold", "fold", "rot90", "as_strided", "index_select"),
        *("gather", "take_along_dim", "scatter", "scatter_add", "kron", "outer", "cdist"),
        *("empty_like", "zeros_like", "ones_like", "rand_like", "randn_like", "new_zeros"),
        *("new_ones", "new_empty", "new_tensor", "new_full", "full_like"),
    )
)

"""Sums as they are written: which values, times which factors, a function adds up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["Terms", "follows", "leaf_of", "terms_of"]

Terms = tuple[tuple[Any, Any], ...]
"""Values, each with its factor."""

_SUMS = frozenset({"add", "__add__", "__radd__", "add_", "__iadd__", "iadd"})
_DIFFERENCES = frozenset({"sub", "subtract", "__sub__", "sub_", "subtract_", "__isub__"})
_REVERSED = frozenset({"rsub", "__rsub__"})
_PRODUCTS = frozenset(
    {"mul", "multiply", "__mul__", "__rmul__", "mul_", "multiply_", "__imul__", "imul"}
)
_QUOTIENTS = frozenset(
    {"div", "divide", "true_divide", "__truediv__", "div_", "divide_", "__itruediv__", "__div__"}
)
_OPPOSITES = frozenset({"neg", "negative", "__neg__", "neg_", "negative_"})


def follows(value: Any) -> bool:
    """Return whether a value depends on the inputs: in a network of frozen parameters."""
    return isinstance(value, Tensor) and value.requires_grad


def leaf_of(inputs: Tensor) -> Tensor:
    """Return a copy of the inputs that all which depends on them can be told by."""
    return inputs.detach().clone().requires_grad_()


def terms_of(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Terms | None:
    """Return what a function adds up; None if it isn't a sum, a difference or a scaling.

    Example:
        >>> terms_of("sub", (3.0, 2.0), {"alpha": 0.5})
        ((3.0, 1), (2.0, -0.5))
    """
    given = dict(kwargs)
    named = [given.pop(key) for key in ("self", "input", "other") if key in given]
    values, alpha = [*args, *named], given.pop("alpha", 1)
    if any(value is not None for value in given.values()):  # a rounding_mode, an out
        return None
    if name in _OPPOSITES and len(values) == 1:
        return ((values[0], -1),)
    if len(values) != 2:
        return None
    first, second = values
    if name in _SUMS:
        return (first, 1), (second, alpha)
    if name in _DIFFERENCES:
        return (first, 1), (second, -alpha)
    if name in _REVERSED:
        return (second, 1), (first, -alpha)
    return _scaling(name, first, second)


def _scaling(name: str, first: Any, second: Any) -> Terms | None:
    if name in _PRODUCTS and not (follows(first) and follows(second)):
        value, factor = (first, second) if follows(first) else (second, first)
    elif name in _QUOTIENTS and not follows(second):
        value, factor = first, 1 / second
    else:
        return None
    # One value that is spread over many places has as many shares: a scaling doesn't add them up.
    spread = isinstance(factor, Tensor) and isinstance(value, Tensor)
    if spread and (factor * value.detach()).shape != value.shape:
        return None
    return ((value, factor),)

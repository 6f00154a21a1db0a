"""Dataclasses taken apart into JSON and tensors, and put together again from their annotations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

__all__ = ["apart", "plain", "together"]

Arrays = Mapping[str, Tensor]
_CLASS = "class"  # beside a dataclass's fields, where the annotation leaves its class open


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: tensors as lists, NaN and infinities as null.

    Example:
        >>> plain({1: (torch.tensor([1.0, float("nan")]), "a")})
        {'1': [[1.0, None], 'a']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def apart(record: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a dataclass as JSON that keeps everything, and its tensors by their place in it.

    A dataclass may hold numbers, strings, tensors, arrays, further dataclasses, and tuples, lists
    and mappings of these.

    Raises:
        TypeError: if it holds anything else.
    """
    tensors: dict[str, Tensor] = {}
    return _apart(record, "", tensors), tensors


def _apart(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[place] = value
        return {"tensor": place}
    if isinstance(value, np.ndarray):
        tensors[place] = torch.from_numpy(np.ascontiguousarray(value))
        return {"array": place}
    if is_dataclass(value) and not isinstance(value, type):
        content: dict[str, Any] = {_CLASS: f"{type(value).__module__}:{type(value).__qualname__}"}
        for f in fields(value):
            if f.init:
                content[f.name] = _apart(getattr(value, f.name), f"{place}/{f.name}", tensors)
        return content
    if isinstance(value, Mapping):
        pairs = enumerate(value.items())
        return {"map": [[k, _apart(v, f"{place}/{i}", tensors)] for i, (k, v) in pairs]}
    if isinstance(value, tuple | list):
        return [_apart(item, f"{place}/{i}", tensors) for i, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"expected what can be saved at {place or 'the top'}, got a {type(value).__name__}: keep "
        "numbers, strings, tensors and dataclasses of these"
    )


def together(kind: Any, content: Any, tensors: Arrays) -> Any:
    """Return what :func:`apart` took apart; ``kind`` is its class.

    Raises:
        ValueError: if the content doesn't fit the class, as that of another version may not.
    """
    try:
        return _together(kind, content, tensors)
    except (KeyError, TypeError, AttributeError, IndexError, ImportError) as error:
        raise ValueError(
            f"expected the fields of {getattr(kind, '__name__', kind)} as this version has them, "
            f"got others ({type(error).__name__}: {error}): save it again"
        ) from None


def _together(kind: Any, content: Any, tensors: Arrays) -> Any:
    if isinstance(content, Mapping):
        if "tensor" in content and len(content) == 1:
            return tensors[content["tensor"]]
        if "array" in content and len(content) == 1:
            return tensors[content["array"]].numpy()
        if "map" in content and len(content) == 1:
            key, value = _inner(kind, Mapping, 2)
            return {_key(key, k): _together(value, v, tensors) for k, v in content["map"]}
        return _record(kind, content, tensors)
    if isinstance(content, list):
        return _sequence(kind, content, tensors)
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, str) and isinstance(content, str):
            return option(content)  # a str that means more, such as code
    return content


def _record(kind: Any, content: Mapping[str, Any], tensors: Arrays) -> Any:
    """Build a dataclass; its class must be one that the annotation allows."""
    allowed = [option for option in _options(kind) if isinstance(option, type)]
    # Only classes that are there and of the kind: a file must not choose which code runs.
    known = {f"{c.__module__}:{c.__qualname__}": c for c in _with_subclasses(allowed)}
    if content[_CLASS] not in known:
        raise TypeError(f"a {content[_CLASS]} where {kind} belongs")
    found: Any = known[content[_CLASS]]
    hints = get_type_hints(found)
    given = {
        f.name: _together(hints[f.name], content[f.name], tensors)
        for f in fields(found)
        if f.init and f.name in content
    }
    return found(**given)


def _with_subclasses(kinds: Sequence[type]) -> Iterator[type]:
    for kind in kinds:
        yield kind
        yield from _with_subclasses(kind.__subclasses__())


def _sequence(kind: Any, content: Sequence[Any], tensors: Arrays) -> Any:
    for option in _options(kind):
        origin, inner = get_origin(option) or option, get_args(option)
        if origin is list:
            return [_together(inner[0] if inner else Any, item, tensors) for item in content]
        if origin is tuple and len(inner) == len(content) and inner[-1] is not Ellipsis:
            return tuple(_together(k, c, tensors) for k, c in zip(inner, content, strict=True))
    (inner_kind,) = _inner(kind, Sequence, 1)
    return tuple(_together(inner_kind, item, tensors) for item in content)


def _inner(kind: Any, origin: type, count: int) -> tuple[Any, ...]:
    """Return what a mapping, or a sequence, is annotated to hold; Any where it isn't."""
    for option in _options(kind):
        base = get_origin(option)
        if isinstance(base, type) and issubclass(base, origin):
            return get_args(option)[:count]
    return (Any,) * count


def _options(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the kind itself."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(option for option in get_args(kind) if option is not NoneType)
    return (kind,)


def _key(kind: Any, key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key

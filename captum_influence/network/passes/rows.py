"""Which tensors of a structure have one row per example: known by its shapes for one row and three.

A tensor is never an example's own because a length happens to match: what has three rows for three
examples and one for one, is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from captum_influence.network.cuts import concatenated, mapped, tensors_in

__all__ = ["AsManyRows", "Layout", "layout", "rows_each"]


class Layout(ABC):
    """How the examples lie in a value that a network hands on."""

    @abstractmethod
    def fixed(self, value: Any, rows: int) -> Any:
        """Return the value with the dimension of the rows that a squeeze took away, if it did."""

    @abstractmethod
    def as_came(self, value: Any, rows: int) -> Any:
        """Return the value as the network hands it on: the inverse of :meth:`fixed`."""

    @abstractmethod
    def spread(self, value: Any, rows: int) -> Any:
        """Return the value of one row for many equal rows, without memory for them."""

    @abstractmethod
    def joined(self, parts: Sequence[Any]) -> Any:
        """Return one value for the rows of several."""

    @abstractmethod
    def taken(self, value: Any, rows: Tensor) -> Any:
        """Return the value for some of its rows, an int64 tensor; one may come several times."""

    def own(self, value: Any) -> list[Tensor]:
        """Return those of its tensors that a row gets the same of, alone and among others."""
        return tensors_in(value)

    @property
    def has_rows(self) -> bool:
        """Whether anything in it has rows."""
        return True

    @property
    def mixes(self) -> bool:
        """Whether anything in it is of the batch as a whole."""
        return False

    @property
    def all_rows(self) -> bool:
        """Whether every tensor in it has, in its first dimension."""
        return True


@dataclass(frozen=True)
class _Shared(Layout):
    """The same for all examples."""

    def fixed(self, value: Any, rows: int) -> Any:
        return value

    def as_came(self, value: Any, rows: int) -> Any:
        return value

    def spread(self, value: Any, rows: int) -> Any:
        return value

    def joined(self, parts: Sequence[Any]) -> Any:
        return parts[0]

    def taken(self, value: Any, rows: Tensor) -> Any:
        return value

    @property
    def has_rows(self) -> bool:
        return False

    @property
    def all_rows(self) -> bool:
        return False


@dataclass(frozen=True)
class _Mixed(_Shared):
    """Of the batch as a whole, such as its loss, or of windows: no row's own.

    Whoever reads it for some of the rows gets NaN, and is found out by that.
    """

    def own(self, value: Any) -> list[Tensor]:
        return []

    @property
    def mixes(self) -> bool:
        return True

    def taken(self, value: Any, rows: Tensor) -> Any:
        return torch.full_like(value, torch.nan) if value.is_floating_point() else value


@dataclass(frozen=True)
class _Rows(Layout):
    """A tensor with one row per example; ``squeezed``: a single row comes without its dimension."""

    squeezed: bool = False

    def fixed(self, value: Any, rows: int) -> Any:
        return value.unsqueeze(0) if self.squeezed and rows == 1 else value

    def as_came(self, value: Any, rows: int) -> Any:
        return value.squeeze(0) if self.squeezed and rows == 1 else value

    def spread(self, value: Any, rows: int) -> Any:
        return value.expand(rows, *value.shape[1:])

    def joined(self, parts: Sequence[Any]) -> Any:
        return torch.cat(list(parts))

    def taken(self, value: Any, rows: Tensor) -> Any:
        return value[rows.to(value.device)]


@dataclass(frozen=True)
class _Listed(Layout):
    """A list with one item per example."""

    def fixed(self, value: Any, rows: int) -> Any:
        return value

    def as_came(self, value: Any, rows: int) -> Any:
        return value

    def spread(self, value: Any, rows: int) -> Any:
        return type(value)(list(value) * rows)

    def joined(self, parts: Sequence[Any]) -> Any:
        return type(parts[0])(item for part in parts for item in part)

    def taken(self, value: Any, rows: Tensor) -> Any:
        return type(value)(value[i] for i in rows.tolist())


@dataclass(frozen=True)
class _Structure(Layout):
    """A tuple, list, mapping or dataclass, by its parts."""

    parts: tuple[Layout, ...]

    def fixed(self, value: Any, rows: int) -> Any:
        return self._each(value, lambda part, v: part.fixed(v, rows))

    def as_came(self, value: Any, rows: int) -> Any:
        return self._each(value, lambda part, v: part.as_came(v, rows))

    def spread(self, value: Any, rows: int) -> Any:
        return self._each(value, lambda part, v: part.spread(v, rows))

    def joined(self, parts: Sequence[Any]) -> Any:
        columns = zip(*map(_parts, parts), strict=True)
        inner = [p.joined(column) for p, column in zip(self.parts, columns, strict=True)]
        return _rebuilt(parts[0], inner)

    def taken(self, value: Any, rows: Tensor) -> Any:
        return self._each(value, lambda part, v: part.taken(v, rows))

    def own(self, value: Any) -> list[Tensor]:
        pairs = zip(self.parts, _parts(value), strict=True)
        return [tensor for part, inner in pairs for tensor in part.own(inner)]

    def _each(self, value: Any, change: Callable[[Layout, Any], Any]) -> Any:
        pairs = zip(self.parts, _parts(value), strict=True)
        return _rebuilt(value, [change(part, inner) for part, inner in pairs])

    @property
    def has_rows(self) -> bool:
        return any(part.has_rows for part in self.parts)

    @property
    def mixes(self) -> bool:
        return any(part.mixes for part in self.parts)

    @property
    def all_rows(self) -> bool:
        return all(part.all_rows for part in self.parts)


@dataclass(frozen=True)
class AsManyRows(Layout):
    """Not known: every tensor is taken to have a row each, as where only one size of batch runs."""

    def fixed(self, value: Any, rows: int) -> Any:
        return value

    def as_came(self, value: Any, rows: int) -> Any:
        return value

    def spread(self, value: Any, rows: int) -> Any:
        return mapped(lambda tensor: tensor.expand(rows, *tensor.shape[1:]), value)

    def joined(self, parts: Sequence[Any]) -> Any:
        return concatenated(parts)

    def taken(self, value: Any, rows: Tensor) -> Any:
        return mapped(lambda tensor: tensor[rows.to(tensor.device)], value)


def layout(one: Any, several: Any, count: int, *, lenient: bool = False) -> Layout:
    """Return how the examples lie, from the value for one row and that for several.

    Args:
        one: what was handed on for one row.
        several: the same for several.
        count: how many these are, at least two.
        lenient: whether parts may be of the batch as a whole, if others have rows.

    Raises:
        ValueError: if the shapes fit neither "a row each" nor "the same for all".
    """
    if isinstance(one, Tensor) and isinstance(several, Tensor):
        return _of_tensor(tuple(one.shape), tuple(several.shape), count)
    if type(one) is not type(several):
        raise ValueError(f"a {type(one).__name__} for one row, a {type(several).__name__} for more")
    if isinstance(one, list | tuple) and (len(one), len(several)) == (1, count):
        return _Listed()
    if not isinstance(one, Tensor) and _has_parts(one):
        inner, others = list(_parts(one)), list(_parts(several))
        if len(inner) != len(others):
            raise ValueError(f"{len(inner)} parts for one row, {len(others)} for {count}")
        pairs = zip(inner, others, strict=True)
        if not lenient:
            return _Structure(tuple(layout(a, b, count) for a, b in pairs))
        found = _Structure(tuple(_layout_or_mixed(a, b, count) for a, b in pairs))
        return found if found.has_rows else layout(one, several, count)
    return _Shared()


def rows_each(one: Any, several: Any, count: int) -> int:
    """Return how many rows of the first dimension an example has, if it is as many in all tensors.

    Args:
        one: what was handed on for one example.
        several: the same for several.
        count: how many these are.
    """
    pairs = [(a, b) for a, b in zip(tensors_in(one), tensors_in(several), strict=False) if a.ndim]
    known = {len(a) for a, b in pairs if tuple(b.shape) == (count * len(a), *a.shape[1:])}
    return known.pop() if len(known) == 1 else 1


def _layout_or_mixed(one: Any, several: Any, count: int) -> Layout:
    """Return how the examples lie in a part of a structure; it may be no example's."""
    try:
        found = layout(one, several, count, lenient=True)
    except ValueError:
        if isinstance(one, Tensor):
            return _Mixed()
        raise
    is_one_for_all = isinstance(found, _Shared) and isinstance(one, Tensor)
    if is_one_for_all and not torch.allclose(one, several, 1e-3, 1e-12, equal_nan=True):
        return _Mixed()
    return found


def _of_tensor(one: tuple[int, ...], several: tuple[int, ...], count: int) -> Layout:
    if len(one) > 0 and (one[0], several) == (1, (count, *one[1:])):
        return _Rows()
    if several == (count, *one):
        return _Rows(squeezed=True)
    if one == several:
        return _Shared()
    raise ValueError(f"shape {one} for one row, {several} for {count}")


def _has_parts(value: Any) -> bool:
    record = is_dataclass(value) and not isinstance(value, type)
    return record or isinstance(value, Mapping | list | tuple)


def _parts(value: Any) -> Iterator[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, f.name) for f in fields(value) if f.init)
    elif isinstance(value, Mapping):
        yield from value.values()
    else:
        yield from value


def _rebuilt(value: Any, parts: list[Any]) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if f.init]
        return replace(value, **dict(zip(names, parts, strict=True)))
    if isinstance(value, Mapping):
        items = dict(zip(value, parts, strict=True))
        return items if type(value) is dict else type(value)(items)  # type: ignore[call-arg]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)

"""A network's further arguments: which of their tensors are the examples' own."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.cuts import mapped, tensors_in

__all__ = ["Arguments", "Bound", "PerExample", "Place", "Shared"]

Place = int | str  # of an argument: its position, in rising order, or its name

# What can't hold an example's tensors, or isn't looked into.
_CLOSED: tuple[type, ...] = (str, bytes, int, float, complex, type(None), type, Module)
_CLOSED += (torch.dtype, torch.device, FunctionType, BuiltinFunctionType, MethodType, ModuleType)


@dataclass(frozen=True, eq=False)
class Shared:
    """Says of a further argument that all examples share it, whatever its length.

    Example:
        >>> mask = Shared(torch.ones(4, 4).triu())  # also where there happen to be 4 examples
    """

    value: Any


@dataclass(frozen=True, eq=False)
class PerExample:
    """Says of a further argument that its tensors have one row for each example."""

    value: Any


@dataclass(frozen=True, eq=False)
class Bound:
    """The further arguments of one pass, by position and by name.

    ``places`` tells where among them each input goes: a position, or a name; None: they come first.
    """

    given: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    places: tuple[Place, ...] | None = None

    def called(self, network: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
        """Return what a network returns for these inputs beside the further arguments."""
        if self.places is None:
            return network(*inputs, *self.given, **self.keywords)
        given, keywords = list(self.given), dict(self.keywords)
        for place, x in zip(self.places, inputs, strict=True):
            if isinstance(place, int):
                given.insert(place, x)
            else:
                keywords[place] = x
        return network(*given, **keywords)


@dataclass(frozen=True, eq=False)
class Arguments:
    """What a network takes beside its inputs, for a number of examples.

    A tensor whose first dimension is the number of examples is an example's own, as in Captum,
    also inside tuples, lists, mappings, dataclasses and objects such as caches.

    Attributes:
        bound: the arguments.
        examples: for how many.
        own: which of the tensors, counted in order, have a row for each.
        asked: which of these only seem so by their length, each with its argument's name.
    """

    bound: Bound = field(default_factory=Bound)
    examples: int = 1
    own: frozenset[int] = frozenset()
    asked: tuple[tuple[int, str], ...] = ()

    @staticmethod
    def of(
        given: tuple[Any, ...],
        keywords: Mapping[str, Any],
        examples: int,
        admit: Callable[[Tensor], Tensor],
        places: tuple[Place, ...] | None = None,
    ) -> Arguments:
        """Return the arguments, every tensor ``admit``-ted; ``places`` are those of the inputs.

        Raises:
            ValueError: if what is said to be per example has another length.
        """
        own, asked, count = set[int](), list[tuple[int, str]](), 0
        for name, value in _named(given, keywords):
            inner = _unmarked(value)
            for tensor in _tensors(inner):
                fits = tensor.ndim > 0 and len(tensor) == examples
                if isinstance(value, PerExample) and not fits:
                    raise ValueError(
                        f"expected {name} to have a row for each of {examples} examples, got shape "
                        f"{tuple(tensor.shape)}: Shared(value) says that there is one for all"
                    )
                if fits and not isinstance(value, Shared):
                    own.add(count)
                    # With one example there is no difference; where it is said, no doubt.
                    if examples > 1 and not isinstance(value, PerExample):
                        asked.append((count, name))
                count += 1
        admitted = [_changed(admit, _unmarked(value)) for value in given]
        named = {n: _changed(admit, _unmarked(value)) for n, value in keywords.items()}
        bound = Bound(tuple(admitted), named, places)
        return Arguments(bound, examples, frozenset(own), tuple(asked))

    def rows(self, index: Tensor) -> Bound:
        """Return the arguments for rows that belong to these examples, int64 (rows,).

        Objects that hold tensors are copies, so that a pass can't change the user's own.
        """
        place = -1

        def take(tensor: Tensor) -> Tensor:
            nonlocal place
            place += 1
            if place not in self.own:
                return tensor
            if self.examples == 1:
                return tensor.expand(len(index), *tensor.shape[1:])
            return tensor.index_select(0, index.to(tensor.device))

        given = tuple(_changed(take, value) for value in self.bound.given)
        keywords = {n: _changed(take, v) for n, v in self.bound.keywords.items()}
        return replace(self.bound, given=given, keywords=keywords)

    def shapes(self) -> tuple[Hashable, ...]:
        """Return what each tensor is like, and of an example's own what one row of it is."""
        values = (*self.bound.given, *self.bound.keywords.values())
        tensors = [tensor for value in values for tensor in _tensors(value)]
        own = [place in self.own for place in range(len(tensors))]
        pairs = zip(tensors, own, strict=True)
        return tuple((mine, t.shape[int(mine) :], t.dtype, t.device) for t, mine in pairs)

    def part(self, index: Tensor) -> Arguments:
        """Return the arguments for some of the examples."""
        return replace(self, bound=self.rows(index), examples=len(index))

    def shared(self, *places: int) -> Arguments:
        """Return the arguments with some of the tensors shared by all examples."""
        return replace(self, own=self.own - set(places))

    def settled(self) -> Arguments:
        """Return the arguments with no doubt left."""
        return replace(self, asked=())


def _named(given: tuple[Any, ...], keywords: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for number, value in enumerate(given):
        yield f"additional_forward_args[{number}]", value
    for name, value in keywords.items():
        yield f"forward_kwargs[{name!r}]", value


def _unmarked(value: Any) -> Any:
    return value.value if isinstance(value, Shared | PerExample) else value


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def look(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    _changed(look, value)
    return found


def _changed(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a value with its tensors changed, also those inside objects such as caches."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, _CLOSED):
        return value
    if type(value) is dict:
        return {key: _changed(change, item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        parts = [_changed(change, item) for item in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if tensors_in(value):
        return mapped(change, value)
    held = _held_tensors(value)
    if not held:
        return value
    # A deep copy that finds its tensors in the memo puts these in their place.
    return copy.deepcopy(value, {id(tensor): change(tensor) for tensor in held})


def _held_tensors(value: object) -> list[Tensor]:
    """Return the tensors that an object holds, in a stable order, each once."""
    found: dict[int, Tensor] = {}
    seen, waiting = {id(value)}, [value]
    while waiting:
        for inner in gc.get_referents(waiting.pop(0)):
            if id(inner) in seen or isinstance(inner, _CLOSED):
                continue
            seen.add(id(inner))
            if isinstance(inner, Tensor):
                found[id(inner)] = inner
            else:
                waiting.append(inner)
    return list(found.values())

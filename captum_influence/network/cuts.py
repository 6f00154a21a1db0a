"""Cuts: places in a network, and how to pick and replace the tensors that pass there."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Module

__all__ = [
    "Among",
    "Basis",
    "Cut",
    "Forward",
    "Side",
    "Tensors",
    "concatenated",
    "layer_name",
    "mapped",
    "picked",
    "refuse_basis",
    "refuse_shared",
    "substituted",
    "tensors_in",
    "unwrapped",
]

Tensors = tuple[Tensor, ...]
Forward = Callable[..., Any]
Side = Literal["output", "input"]

_CLOSE = 3  # names like one that isn't there


@dataclass(frozen=True)
class Among:
    """Picks some of the floating-point tensors that pass a cut, by their places."""

    places: tuple[int, ...]

    def of(self, value: Any) -> Tensors:
        """Return them."""
        tensors = _floating(value)
        return tuple(tensors[place] for place in self.places)


@runtime_checkable
class Basis(Protocol):
    """Other units of a layer than its channels: codes of a tensor, and the tensor of codes.

    Codes are laid out as the tensor is, with another number of entries in the channels' place.
    """

    def encode(self, activations: Tensor, /) -> Tensor:
        """Return the codes of activations (examples, ...)."""

    def decode(self, codes: Tensor, /) -> Tensor:
        """Return the activations that codes stand for, as far as they do."""

    def channel(self, ndim: int) -> int:
        """Return which of a tensor's dimensions, the examples' being 0, codes are laid along."""

    def in_words(self) -> str:
        """Return what it is, for pages."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A place in the network: the output (or input) of a module.

    Args:
        module: a module of the network, or its dotted name as in ``named_modules()``.
        side: ``"output"`` or ``"input"``.
        call: which call, counted from 0, of a module that runs several times in one forward pass.
        shared: at the input side, the tensor with all of its readers, not this module's reading of
            it alone: Captum's ``attribute_to_layer_input``. Only to attribute to.
        select: what to take if the module returns more than one tensor: an index or key, or a
            function that is given the output and returns one of its tensors. By default all
            floating-point tensors of a tuple are taken that have a row for each example.
        basis: a :class:`Dictionary`: units are then its concepts, not the layer's channels. The
            network stays as it is: what of the activations the concepts don't hold goes on beside
            them.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
        >>> cut = Cut("0", side="output")
    """

    module: Module | str
    side: Side = "output"
    call: int | None = field(default=None, kw_only=True)
    shared: bool = field(default=False, kw_only=True)
    select: int | str | Callable[[Any], Tensor] | Among | None = field(default=None, kw_only=True)
    basis: Basis | None = field(default=None, kw_only=True)
    windows: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.module, (Module, str)):
            raise TypeError(
                "expected a torch.nn.Module or its dotted name as a layer, got "
                f"{type(self.module).__name__}"
            )
        if self.side not in ("output", "input"):
            raise ValueError(f'expected side="output" or side="input", got {self.side!r}')
        if self.call is not None and (not isinstance(self.call, int) or self.call < 0):
            raise ValueError(f"expected call as an int from 0, the first, got {self.call!r}")
        if self.shared and self.side == "output":
            raise ValueError(
                'expected shared=True with side="input", got it at the output, which means all '
                "who read it from the module anyway: leave it out"
            )
        if self.basis is not None and not isinstance(self.basis, Basis):
            raise TypeError(
                f"expected a Dictionary as basis, got {type(self.basis).__name__}: "
                "Dictionary(encode, decode)"
            )
        if self.shared and self.basis is not None:
            raise ValueError(
                "expected shared=True or a basis, got both: others read the tensor, nobody reads "
                "its codes. Cut at the output of the module that returns it"
            )
        if not isinstance(self.windows, int) or self.windows < 1:
            raise ValueError(f"expected windows as an int from 1, got {self.windows!r}")
        if self.windows > 1 and (self.shared or self.basis is not None):
            raise ValueError(
                "expected windows, or else shared=True or a basis, got both: cut at the output of "
                "the block, where each example has one row"
            )

    @staticmethod
    def ensure(value: Cut | Module | str, side: Side = "output") -> Cut:
        """Return a cut as it is, and a module or a name as a cut at that side of it."""
        return value if isinstance(value, Cut) else Cut(value, side)

    @property
    def place(self) -> Hashable:
        """What tells it from other cuts of a network."""
        how = (self.side, self.call, self.shared, str(self.select), self.basis, self.windows)
        return id(self.module), *how

    def code(self, write: Callable[[object, str], str]) -> str:
        """Return the Python that builds it; ``write`` returns that of an inner value."""
        given = [write(self.module, "layer")]
        given += [write(self.side, "side")] if self.side != "output" else []
        given += [] if self.call is None else [f"call={write(self.call, 'call')}"]
        given += ["shared=True"] if self.shared else []
        given += [] if self.select is None else [f"select={write(self.select, 'select')}"]
        given += [] if self.basis is None else [f"basis={write(self.basis, 'basis')}"]
        given += [] if self.windows == 1 else [f"windows={self.windows}"]
        return f"Cut({', '.join(given)})"

    def within(self, forward_func: Forward) -> Cut:
        """Return the cut with its module found in the network and checked.

        Raises:
            ValueError: if the module is not part of the network.
            TypeError: if it is scripted (such modules can't be observed).
        """
        module = self.module
        if isinstance(forward_func, Module) and module in _stood_for(forward_func):
            module = forward_func  # see network/outputs.py
        inside = set(forward_func.modules()) if isinstance(forward_func, Module) else None
        if isinstance(module, str):
            module = _named(forward_func, module)
        elif inside is not None and module not in inside:
            inner = unwrapped(module)
            module = inner if isinstance(inner, Module) else module
        if inside is not None and module not in inside:
            raise ValueError(
                f"the layer, a {type(module).__name__}, is not a module of the network; pass one "
                "of its own modules, or a name from dict(model.named_modules())"
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                "the layer sits inside a scripted or traced module, which can't be observed: "
                "explain the network it was made from"
            )
        return replace(self, module=module)

    def by_name(self, model: Module) -> Cut:
        """Return the cut with its module called by its name, to be found in a copy of the network.

        Raises:
            ValueError: if the module is not part of the network.
        """
        module = self.within(model).module
        named = model.named_modules(remove_duplicate=False)
        return replace(self, module=next(name for name, other in named if other is module))

    def __str__(self) -> str:
        """Name the cut in messages."""
        name = self.module if isinstance(self.module, str) else type(self.module).__name__
        return f"{self.side} of {name}" + ("" if self.call is None else f" (call {self.call})")


def refuse_shared(cut: Cut | None) -> None:
    """Refuse to replace, or read at, what only tells what is attributed to.

    Raises:
        ValueError: if the cut is shared.
    """
    if cut is not None and cut.shared:
        raise ValueError(
            f"expected a cut to replace or to read at, got the {cut} with shared=True, which tells "
            "what is attributed to: cut at the output of the module that returns it"
        )


def refuse_basis(cut: Cut, verb: str) -> None:
    """Refuse a basis where a layer's own channels are asked for.

    Raises:
        ValueError: naming the ``verb``.
    """
    if cut.basis is not None:
        raise ValueError(
            f"{verb} asks of a layer's own channels, got the {cut} in another basis: leave basis= "
            "out"
        )


def layer_name(model: Module, cut: Cut) -> str:
    """Return a layer's dotted name in the network, and its side and call if they matter."""
    module = cut.module
    if not isinstance(module, str):
        found = [name for name, other in model.named_modules() if other is module]
        module = found[0] if found and found[0] else type(module).__name__
    side = "" if cut.side == "output" else f" ({cut.side})"
    return module + side + ("" if cut.call is None else f", call {cut.call}")


def picked(value: Any, cut: Cut) -> Tensors:
    """Return the tensors that the cut means out of a module's output or inputs."""
    if cut.select is not None:
        if isinstance(cut.select, Among):
            return cut.select.of(value)
        chosen = _selected(value, cut)
        if not isinstance(chosen, Tensor):
            raise TypeError(
                f"select={cut.select!r} picked a {type(chosen).__name__} at the {cut}; expected "
                "one of its tensors"
            )
        return (chosen,)
    tensors = _floating(value)
    if not tensors:
        raise TypeError(
            f"the {cut} holds no floating-point tensor but {_described(value)}: pick one with "
            "Cut(layer, select=...), an index, a key or a function"
        )
    return tensors


def _floating(value: Any) -> Tensors:
    items = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(t for t in items if isinstance(t, Tensor) and t.is_floating_point())


def _selected(value: Any, cut: Cut) -> Any:
    select = cut.select
    value = value[0] if cut.side == "input" and len(value) == 1 and callable(select) else value
    try:
        if callable(select):
            return select(value)
        if isinstance(select, str) and not isinstance(value, Mapping):
            return getattr(value, select)
        return value[select]
    except (KeyError, IndexError, AttributeError, TypeError):
        raise ValueError(
            f"select={select!r} is not in the {cut}, which holds {_described(value)}"
        ) from None


def _described(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with keys {list(value)}"
    if is_dataclass(value):
        return f"a {type(value).__name__} with fields {[f.name for f in fields(value)]}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {[type(item).__name__ for item in value]}"
    return f"a {type(value).__name__}"


def mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return the same structure (tuples, lists, mappings, dataclasses) with its tensors changed."""
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if f.init]
        return replace(value, **{name: mapped(change, getattr(value, name)) for name in names})
    if isinstance(value, Mapping):
        items = {key: mapped(change, item) for key, item in value.items()}
        return items if type(value) is dict else type(value)(items)  # type: ignore[call-arg]
    if isinstance(value, (tuple, list)):
        parts = [mapped(change, item) for item in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def substituted(value: Any, old: Tensors, new: Tensors) -> Any:
    """Return the same structure with tensors replaced by others, by identity.

    Of a tensor that is listed several times, each occurrence gets its own; the last serves more.
    """
    waiting: dict[int, list[Tensor]] = {}
    for tensor, other in zip(old, new, strict=True):
        waiting.setdefault(id(tensor), []).append(other)

    def change(tensor: Tensor) -> Tensor:
        others = waiting.get(id(tensor), [tensor])
        return others.pop(0) if len(others) > 1 else others[0]

    return mapped(change, value)


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors of a structure in order."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(keep, value)
    return found


def concatenated(parts: Sequence[Any]) -> Any:
    """Join equal structures along the first dimension of their tensors."""
    if len(parts) == 1:
        return parts[0]
    columns = iter(list(zip(*map(tensors_in, parts), strict=True)))

    def join(first: Tensor) -> Tensor:
        column = next(columns)
        return torch.cat(column) if first.ndim else first

    return mapped(join, parts[0])


def unwrapped(forward_func: Forward) -> Forward:
    """Return the network inside DataParallel or torch.compile, whose own hooks are ours to set."""
    if isinstance(forward_func, torch.nn.DataParallel):
        if len(forward_func.device_ids or ()) > 1:
            raise ValueError(
                f"the network runs on {len(forward_func.device_ids)} devices by DataParallel: "
                "pass model.module, and start one process per device with torchrun"
            )
        return unwrapped(forward_func.module)
    if isinstance(forward_func, Module) and hasattr(forward_func, "_orig_mod"):
        inner: Any = forward_func._orig_mod
        return unwrapped(inner)
    return forward_func


def _stood_for(forward_func: Any) -> list[Any]:
    """Return the networks in whose place this one is called, see :class:`Standing`."""
    inner = getattr(forward_func, "stands_for", None)
    return [] if inner is None else [inner, *_stood_for(inner)]


def _named(forward_func: Forward, name: str) -> Module:
    if not isinstance(forward_func, Module):
        raise ValueError(
            f"the layer {name!r} was named, but the network is a {type(forward_func).__name__}, "
            "not a Module: pass the module itself"
        )
    modules: dict[str, Module] = dict(forward_func.named_modules(remove_duplicate=False))
    for known_as in (name, name.removeprefix("_orig_mod.").removeprefix("module.")):
        if known_as in modules:
            return modules[known_as]
    alike = difflib.get_close_matches(name, modules, _CLOSE)
    same_end = [other for other in modules if other.split(".")[-1] == name.split(".")[-1]]
    known = list(dict.fromkeys([*alike, *same_end, *filter(None, modules)]))  # the near ones first
    raise ValueError(
        f"the network has no layer named {name!r}; it has {', '.join(known[:12])}"
        f"{', ...' if len(known) > 12 else ''}"
    )

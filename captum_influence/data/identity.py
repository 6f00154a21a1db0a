"""What tells one question from another across processes: values as plain JSON."""

from __future__ import annotations

import dis
import functools
import hashlib
import json
import sys
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

__all__ = ["UNKNOWN", "digest_of_weights", "told"]

UNKNOWN = "not known"
"""Stands in a description for what can't be told; it is no difference to anything."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME"}
_LIBRARIES = {"builtins", "captum", "captum_influence", "numpy", "torch", *sys.stdlib_module_names}
_INSTALLED = ("site-packages", "dist-packages")
_DEEPEST = 12  # values within values


def told(value: Any) -> Any:
    """Return a quantity, a distribution or a plain value as JSON that is equal for equal ones.

    Tensors count by their entries, dataclasses by their fields, networks by their weights and
    settings. Functions count by their code, defaults, closures and the global values and functions
    that they read, and so do classes that aren't a library's. What has no lasting description
    counts by its type alone.

    Example:
        >>> (
        ...     told(torch.zeros(2)) == told(torch.zeros(2)),
        ...     told(torch.zeros(2)) == told(torch.ones(2)),
        ... )
        (True, False)
    """
    return _Teller().told(value)


def digest_of_weights(state: Mapping[str, Tensor]) -> str:
    """Return a digest of parameters and buffers, by name; equal for equal ones only."""
    found = hashlib.sha256()
    for name, tensor in state.items():
        found.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(_bytes(tensor))
    return found.hexdigest()


class _Teller:
    """Tells one value and what it holds; a function that comes up again is told by its name."""

    def __init__(self) -> None:
        self._above: list[int] = []  # the objects that the present one is part of
        self._functions: set[int] = set()

    def told(self, value: Any) -> Any:
        if isinstance(value, Enum | PurePath | torch.dtype | torch.device | range | slice):
            return repr(value)
        if isinstance(value, _PLAIN):
            return value if type(value) in (bool, int, str, type(None)) else repr(value)
        if isinstance(value, Tensor):
            return [list(value.shape), str(value.dtype), _digest(_bytes(value))]
        if isinstance(value, np.ndarray | np.generic):
            return self._array(np.asarray(value))
        if id(value) in self._above or len(self._above) >= _DEEPEST:
            return type(value).__qualname__
        self._above.append(id(value))
        try:
            return self._callable(value) if callable(value) else self._holder(value)
        finally:
            self._above.pop()

    def _array(self, array: np.ndarray[Any, Any]) -> Any:
        if array.dtype.hasobject:
            return self.told(array.tolist())
        return [list(array.shape), str(array.dtype), _digest(np.ascontiguousarray(array).tobytes())]

    def _holder(self, value: Any) -> Any:
        """Tell what holds other values."""
        if isinstance(value, Mapping):
            return [[self.told(key), self.told(item)] for key, item in value.items()]
        if isinstance(value, Set):
            return sorted((self.told(item) for item in value), key=json.dumps)
        if isinstance(value, list | tuple):
            return [self.told(item) for item in value]
        return self._object(value)

    def _callable(self, value: Any) -> Any:
        """Tell what can be called."""
        if isinstance(value, type):
            return [value.__qualname__, *self._code_of_class(value)]
        if isinstance(value, nn.Module):
            return self._network(value)
        if isinstance(value, functools.partial):
            return ["partial", *map(self.told, (value.func, value.args, value.keywords))]
        if isinstance(value, FunctionType):
            return self._function(value)
        inner = getattr(value, "__func__", getattr(value, "__wrapped__", None))
        if inner is not None:
            return [self.told(inner), self.told(getattr(value, "__self__", None))]
        if not hasattr(value, "__qualname__"):
            return self._object(value)
        owner = getattr(value, "__self__", None)  # of a method that isn't written in Python
        return [value.__qualname__, None if isinstance(owner, ModuleType) else self.told(owner)]

    def _object(self, value: Any) -> Any:
        kind = type(value)
        if isinstance(value, Dataset | DataLoader):  # whose examples may be any number
            return [kind.__qualname__, _length(value)]
        code = self._code_of_class(kind)
        if is_dataclass(value):
            about = {f.name: self.told(getattr(value, f.name)) for f in fields(value) if f.init}
            return [kind.__qualname__, about, *code]
        if code or isinstance(value, torch.distributions.Distribution):
            return [kind.__qualname__, self.told(getattr(value, "__dict__", {})), *code]
        text = repr(value)
        return kind.__qualname__ if " at 0x" in text else text

    def _network(self, network: nn.Module) -> Any:
        """Tell a network by the weights and the plain settings of its modules, and their code."""
        parts: list[Any] = []
        kinds: dict[str, Any] = {}
        for name, module in network.named_modules():
            settings = {k: self.told(v) for k, v in vars(module).items() if _is_setting(k, v)}
            parts.append([name, type(module).__qualname__, settings])
            kinds[type(module).__qualname__] = type(module)
        code = {name: self._code_of_class(kind) for name, kind in kinds.items()}
        weights = dict(network.named_parameters()) | dict(network.named_buffers())
        return [_digest(json.dumps([parts, code]).encode()), digest_of_weights(weights)]

    def _function(self, function: FunctionType) -> Any:
        name = f"{function.__module__}.{function.__qualname__}"
        if id(function) in self._functions:
            return name
        self._functions.add(id(function))
        code, around = function.__code__, function.__globals__
        cells = function.__closure__ or ()
        held = {n: _held(cell) for n, cell in zip(code.co_freevars, cells, strict=True)}
        read = {n: around[n] for n in _globals_of(code) if n in around and _counts(around[n])}
        about = [function.__defaults__, function.__kwdefaults__, held, read]
        return [name, _digest(_code(code).encode()), *(self.told(one) for one in about)]

    def _code_of_class(self, kind: type) -> list[Any]:
        """Return what a class of the user's own does; nothing of a library's."""
        if _is_library(kind):
            return []
        functions: list[Any] = []
        for base in (base for base in kind.__mro__ if not _is_library(base)):
            items = ((n, getattr(f, "fget", getattr(f, "__func__", f))) for n, f in _items(base))
            functions += [[n, self.told(f)] for n, f in items if isinstance(f, FunctionType)]
        return [functions]


def _items(kind: type) -> list[tuple[str, Any]]:
    return sorted(vars(kind).items())


def _is_library(value: Any) -> bool:
    """Return whether a class or a function is a library's: its code is that of a version."""
    name = str(getattr(value, "__module__", None) or "builtins")
    if name.split(".")[0] in _LIBRARIES:
        return True
    file = str(getattr(sys.modules.get(name), "__file__", None) or "")
    return any(place in file for place in _INSTALLED)


def _is_setting(name: str, value: Any) -> bool:
    """Return whether an attribute of a module is one of its settings, such as a stride."""
    items = value if isinstance(value, tuple | list) else (value,)
    return not name.startswith("_") and all(isinstance(item, _PLAIN) for item in items)


def _counts(value: Any) -> bool:
    """Return whether a global that a function reads is part of what the function does."""
    if isinstance(value, FunctionType):
        return not _is_library(value)
    held = (*_PLAIN, Tensor, np.ndarray, Mapping, Set, list, tuple, functools.partial, nn.Module)
    return isinstance(value, held)


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except (TypeError, NotImplementedError):
        return None


def _held(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _globals_of(code: CodeType) -> list[str]:
    """Return the names that a function, or one within it, reads from outside."""
    names = {str(i.argval) for i in dis.get_instructions(code) if i.opname in _GLOBAL}
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return sorted(names.union(*map(_globals_of, inner)))


def _code(code: CodeType) -> str:
    """Return what a function does, wherever it stands in its file."""
    constants = [_constant(constant) for constant in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, constants))


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _code(value)
    # The order of a set differs from process to process.
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _bytes(tensor: Tensor) -> Any:
    """Return the entries as bytes, without a copy where there is no need for one."""
    tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor  # this process's share
    try:
        flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().flatten()
        return flat.view(torch.uint8).numpy().data
    except (NotImplementedError, RuntimeError, TypeError):  # sparse ones, and those without data
        return f"{type(tensor).__name__}, {tensor.layout}, {tensor.device}".encode()


def _digest(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()

"""What was asked: the call, as the Python that asks it again, and what it was asked with."""

from __future__ import annotations

import inspect
import keyword
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.data.records import plain
from captum_influence.network.inputs import network_of
from captum_influence.reports.words import snake_case

__all__ = ["Asked", "Write", "code_of", "code_of_fields", "installed_versions"]

_LITERAL = 32  # entries up to which a tensor is written out
_LISTED = 24  # entries up to which a list or a mapping is
_DATA = ("loader", "held_out")  # called by their names, however little they are
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)

Write = Callable[[object, str], str]
"""Returns the code of an inner value; the name is what it is called if Python can't write it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """A call of a verb: what it was given, and the Python that asks it again.

    Attributes:
        verb: the function's name.
        positional: the code of what goes by position.
        keywords: the code of every keyword argument that isn't the default.
        settings: all keyword arguments, as JSON can hold them.
        tensors: what the code calls by a name, because it is too large to be written out.
        names: what else the code calls by a name: the network, the data, functions.
        imports: the import statements that the code needs.
        versions: of what computed the answer.
        entry: which part of the answer is meant, such as ``.layers["relu4"]``; empty: all of it.
    """

    verb: str
    positional: tuple[str, ...]
    keywords: Mapping[str, str]
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    entry: str = ""

    @staticmethod
    def of(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Asked:
        """Return a call of a function: ``Asked.of(explain, locals())`` on its first line.

        The first two parameters, the network and the data, go by position, and so does a layer; a
        target goes by its name. A method is called on its object. Data that may be left out, and
        is, is not named.
        """
        parameters = inspect.signature(function).parameters
        model = next(iter(arguments.values()), None)
        # Its layers are named as inside torch.compile and DataParallel.
        writer = _Writer(network_of(model) if isinstance(model, nn.Module) else None)
        positional: list[str] = []
        keywords: dict[str, str] = {}
        settings: dict[str, Any] = {}
        for place, (name, parameter) in enumerate(parameters.items()):
            value = writer.by_name(arguments[name])
            if parameter.kind is parameter.VAR_KEYWORD:
                keywords |= {k: writer.write(v, k) for k, v in value.items()}
                settings |= {k: _setting(v, keywords[k]) for k, v in value.items()}
            elif place < 2 and name != "target" and _is_given(value, parameter):
                called = snake_case(type(value).__name__) if name == "self" else name
                positional.append(writer.named(value, called))
            elif name == "layer" and value is not None and len(positional) == 2:
                positional.append(writer.write(value, name))
            else:
                code = writer.write(value, name)
                settings[name] = _setting(value, code)
                if not _is_default(value, parameter.default):
                    keywords[name] = code
        verb, imports = _called(function), writer.imports(function)
        if "self" in parameters:
            verb, imports = f"{positional.pop(0)}.{function.__name__}", writer.imports()
        return Asked(
            verb=verb,
            positional=tuple(positional),
            keywords=keywords,
            settings=settings,
            tensors=writer.tensors,
            names=tuple(writer.names),
            imports=imports,
            versions=installed_versions(),
        )

    @property
    def call(self) -> str:
        """The Python call that asks the same again."""
        given = [*self.positional, *(f"{name}={code}" for name, code in self.keywords.items())]
        one_line = f"{self.verb}({', '.join(given)}){self.entry}"
        if len(one_line) <= 88:
            return one_line
        first = f"    {', '.join(self.positional)},"
        rest = [f"    {name}={code}," for name, code in self.keywords.items()]
        return "\n".join([f"{self.verb}(", first, *rest, f"){self.entry}"])

    def layer_in_words(self, taken: str, units: str = "") -> str:
        """Return which layer was taken, if the call might have named one and didn't; else empty.

        Args:
            taken: its name.
            units: how many there are, and where, in words.
        """
        if self.settings.get("layer", taken) is not None:
            return ""
        has = f", and has {units}" if units else ""
        return f"No layer was named: {taken} is the last with several places for each channel{has}."

    def at(self, entry: str) -> Asked:
        """Return the same call, of whose answer only a part is meant: ``.at('["influence"]')``."""
        return replace(self, entry=self.entry + entry)


class _Writer:
    """Writes values as code, and keeps what it can only call by a name."""

    def __init__(self, model: nn.Module | None) -> None:
        self.modules = {} if model is None else {id(m): n for n, m in model.named_modules()}
        self.tensors: dict[str, Tensor] = {}
        self.names: dict[str, object] = {}
        self._classes: set[type] = set()
        self._functions: set[Callable[..., Any]] = set()
        self._torch = False  # whether the code names it

    def by_name(self, value: Any) -> Any:
        """Return the name of a layer that is given as a module, alone or in a list."""
        if isinstance(value, list | tuple) and any(id(item) in self.modules for item in value):
            return type(value)(self.by_name(item) for item in value)
        return self.modules.get(id(value)) or value

    def named(self, value: object, name: str) -> str:
        """Return a name for a value: the one it has, a new one if another value has this one."""
        known = [other for other, held in self.names.items() if held is value is not None]
        if known:
            return known[0]
        name = re.sub(r"\W", "_", name) or "value"
        name = f"{name}_" if keyword.iskeyword(name) else name
        free, number = name, 1
        while free in self.names and self.names[free] is not value:
            number += 1
            free = f"{name}{number}"
        self.names[free] = value
        return free

    def write(self, value: object, name: str) -> str:
        """Return the code of a value, which is called ``name`` if Python can't write it."""
        if isinstance(value, nn.Module):
            known = self.modules.get(id(value))
            return repr(known) if known else self.named(value, name)
        local = "<locals>" in type(value).__qualname__  # a class that nobody can import
        own = None if local else getattr(value, "code", None)
        if callable(own) and not isinstance(value, type):
            if not type(value).__name__.startswith("_"):  # a sum is written by its terms
                self._classes.add(type(value))
            return str(own(self.write))
        if isinstance(value, Tensor):
            return self._tensor(value, name)
        if isinstance(value, tuple | list | Mapping):
            return self._container(value, name)
        if is_dataclass(value) and not isinstance(value, type):
            # A finding is asked for by itself.
            if local or isinstance(getattr(value, "asked", None), Asked):
                return self.named(value, name)
            self._classes.add(type(value))
            return code_of_fields(value, self.write)
        if callable(value):
            return self._function(value, name)
        return self._plain(value, name)

    def _plain(self, value: object, name: str) -> str:
        if value is None or isinstance(value, str | bool | slice):
            return repr(value)
        if isinstance(value, torch.dtype):
            self._torch = True
            return repr(value)
        if isinstance(value, Integral):  # NumPy's too
            return repr(int(value))
        if isinstance(value, Real):
            size = float(value)
            return repr(size) if math.isfinite(size) else f'float("{size}")'
        return self.named(value, name)

    def _tensor(self, value: Tensor, name: str) -> str:
        literal = None
        if value.device.type == "cpu" and not value.dtype.is_complex:
            literal = _literal(value.detach())
        if literal is not None:
            self._torch = True
            return literal
        called = self.named(value, name)
        self.tensors[called] = value.detach()
        return called

    def _container(self, value: Any, name: str) -> str:
        if len(value) > _LISTED or name in _DATA or _holds_findings(value):
            return self.named(value, name)
        # An entry has a name of its own: the argument's is the whole argument's, where it is run.
        if isinstance(value, Mapping):
            items = (
                f"{self.write(k, name)}: {self.write(v, f'{name}_{k}')}" for k, v in value.items()
            )
            return f"{{{', '.join(items)}}}"
        inner = ", ".join(self.write(item, f"{name}_{n}") for n, item in enumerate(value))
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"({inner}{comma})" if isinstance(value, tuple) else f"[{inner}]"

    def _function(self, value: Callable[..., Any], name: str) -> str:
        """A function that others can import is written so; another is called by a name."""
        called = getattr(value, "__qualname__", "<")
        home = sys.modules.get(getattr(value, "__module__", None) or "")
        if "<" in called or "." in called or getattr(home, called, None) is not value:
            return self.named(value, name)
        self._functions.add(value)
        self.names[called] = value
        return called

    def imports(self, *verb: Callable[..., Any]) -> tuple[str, ...]:
        """Return the import statements for the verb, and for all classes that were written."""
        found: dict[str, set[str]] = {}
        things: list[Any] = [*verb, *self._classes, *self._functions]
        for thing in things:
            home = _public_home(thing)
            if home != "__main__":
                found.setdefault(home, set()).add(_called(thing).partition(".")[0])
        lines = [
            f"from {home} import {', '.join(sorted(names))}"
            for home, names in sorted(found.items())
        ]
        return (*(["import torch"] if self._torch else ()), *lines)


def _literal(value: Tensor) -> str | None:
    """Return a tensor written out, if it is short enough or the same everywhere."""
    first = value.flatten()[:1]
    short = value.numel() <= _LITERAL
    if not short and not bool((value == first).all()):
        return None
    if not value.numel():
        return f"torch.zeros({tuple(value.shape)}, dtype={value.dtype})"
    given = str(value.tolist() if short else first.item())
    given = re.sub(r"nan|inf", lambda found: f'float("{found[0]}")', given)
    told = value.dtype in (torch.get_default_dtype(), torch.int64, torch.bool)  # by the numbers
    kind = "" if told else f", dtype={value.dtype}"
    return (
        f"torch.tensor({given}{kind})"
        if short
        else f"torch.full({tuple(value.shape)}, {given}{kind})"
    )


def code_of(value: object, name: str = "value") -> str:
    """Return Python that builds a value; what Python can't write is called by a name."""
    return _Writer(None).write(value, name)


def code_of_fields(value: Any, write: Write, *, but: Collection[str] = ()) -> str:
    """Return Python that builds a dataclass from the fields that aren't at their defaults.

    Args:
        value: the dataclass.
        write: returns the code of an inner value.
        but: fields to leave out.
    """
    given = []
    for place, f in enumerate(f for f in fields(value) if f.init):
        inner = getattr(value, f.name)
        if f.name in but or _is_default(inner, _default(f)):
            continue
        code = write(inner, f.name)
        given.append(code if place == 0 and not f.kw_only else f"{f.name}={code}")
    return f"{type(value).__name__}({', '.join(given)})"


def installed_versions() -> dict[str, str]:
    """Return the versions of what an explanation depends on."""
    return {name: _version(name) for name in ("captum-influence", "torch", "captum", "numpy")}


def _default(f: Field[Any]) -> Any:
    if f.default is not MISSING:
        return f.default
    return f.default_factory() if f.default_factory is not MISSING else MISSING


def _is_given(value: Any, parameter: inspect.Parameter) -> bool:
    """Whether a parameter goes by position: one that may be left out does if something is given."""
    return parameter.kind not in _BY_NAME and not (value is None is parameter.default)


def _holds_findings(value: Any) -> bool:
    """Whether a list or a mapping holds findings, which are asked for by themselves."""
    held = value.values() if isinstance(value, Mapping) else value
    return any(isinstance(getattr(item, "asked", None), Asked) for item in held)


def _is_default(value: Any, default: Any) -> bool:
    if value is default:
        return True
    plain_kind = isinstance(value, int | float | str | bool | tuple)
    return plain_kind and type(value) is type(default) and bool(value == default)


def _setting(value: Any, code: str) -> Any:
    """Return a value as JSON can hold it: what isn't plain, as its code."""
    if value is None or isinstance(value, int | float | str | bool):
        return plain(value)
    if isinstance(value, tuple | list) and all(isinstance(v, int | float | str) for v in value):
        return plain(value)
    return code


def _called(thing: Any) -> str:
    """Return how a function or a class is called where it is imported: a method by its class."""
    return str(thing.__qualname__).rpartition("<locals>.")[2]


def _public_home(thing: Any) -> str:
    """Return the first package above a class that hands it on, else its module."""
    parts = thing.__module__.split(".")
    for end in range(1, len(parts)):
        package = sys.modules.get(".".join(parts[:end]))
        if _called(thing).partition(".")[0] in getattr(package, "__all__", ()):
            return ".".join(parts[:end])
    return str(thing.__module__)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a distribution"

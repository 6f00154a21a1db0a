"""Networks that a function of the user's builds, in a file or a module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch.nn import Module

from captum_influence.network.loading.loaded import LoadedModel
from captum_influence.network.loading.weights import listed

__all__ = ["first_line", "from_function"]


def from_function(
    source: str, name: str, arguments: Callable[[Callable[..., Any]], dict[str, Any]] | None = None
) -> LoadedModel:
    """Return what a function in a file or a module builds; its code runs.

    Args:
        source: ``path/to/file.py``, or a module's name.
        name: the function; or a network, as it is.
        arguments: says with which keywords a function is called; None: without any.

    Raises:
        ValueError: If there is no such function, or it fails, or returns something else.
        ImportError: If its module can't be imported.
    """
    is_file = source.endswith(".py")
    folder = Path(source).resolve().parent if is_file else Path.cwd()
    with _importable(folder):
        module = _run_file(Path(source)) if is_file else _run_module(source)
        if not hasattr(module, name):
            raise ValueError(
                f"expected a function {name!r} in {source}, which has none; it has "
                f"{listed(_callables(module)) or 'no functions at all'}"
            )
        found = getattr(module, name)
        if callable(found) and not isinstance(found, (Module, LoadedModel)):
            given = {} if arguments is None else arguments(found)
            found = _called(found, given, f"{source}:{name}")
    if isinstance(found, LoadedModel):
        return found
    if not isinstance(found, Module):
        raise ValueError(
            f"expected {source}:{name} to return a torch.nn.Module, got {type(found).__name__}: "
            "return the network itself (weights go into --weights, or are loaded by the function)"
        )
    return LoadedModel(found)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a user's code import what lies beside it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _run_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise FileNotFoundError(f"expected a Python file, got {str(file)!r}, which is not a file")
    name = f"captum_influence_user_{file.stem}"  # can't hide a module of the file's own name
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"expected a Python file, got {str(file)!r}, which Python can't load")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ImportError(f"{file} can't be imported: {_why(error)}") from error
    return module


def _run_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ImportError(
            f"{name} can't be imported: {_why(error)}; a file is named as path/to/file.py:function"
        ) from error


def _called(function: Callable[..., Any], given: dict[str, Any], spec: str) -> Any:
    try:
        return function(**given)
    except Exception as error:
        how = ", ".join(f"{key}={value!r}" for key, value in given.items())
        raise ValueError(
            f"expected {spec} to build a network when called "
            f"{f'with {how}' if given else 'without arguments'}; it raised {_why(error)}"
        ) from error


def _callables(module: ModuleType) -> list[str]:
    found = {n: v for n, v in vars(module).items() if callable(v) and not n.startswith("_")}
    own = [n for n, v in found.items() if getattr(v, "__module__", "") == module.__name__]
    return own or list(found)


def _why(error: BaseException) -> str:
    """Return the kind of an error and what it says."""
    return f"{type(error).__name__}: {error}"


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    return _why(error).partition("\n")[0].rstrip(".")

"""Models by name: where a network comes from, and weights, loaded without running their code."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.data.pictures import Preparation, Preprocessing
from captum_influence.network.torchvision_operators import declare_operators

__all__ = ["LoadedModel", "load_model", "read_state"]

_NESTED_UNDER = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, Lightning
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network, and what is known of its inputs and outputs.

    Attributes:
        model: In eval mode.
        preprocessing: What its weights say of pictures; None if they say nothing.
        class_names: One name per output; None if the weights say nothing.
    """

    model: Module
    preprocessing: Preparation | None = None
    class_names: tuple[str, ...] | None = None


def load_model(
    spec: str,
    weights: str | PathLike[str] | None = None,
    *,
    device: str | torch.device = "cpu",
) -> LoadedModel:
    """Build a network by name and load its weights.

    Args:
        spec: ``torchvision:NAME``, ``timm:NAME``, ``file.py:function`` or ``module:function``; the
            function takes no arguments and returns the network, or a :class:`LoadedModel`.
        weights: A ``.safetensors`` file, or one written by ``torch.save`` that holds tensors only;
            for torchvision and timm also ``"DEFAULT"`` (torchvision: or any name of its weights),
            which downloads. None: the network as it was built.
        device: Where to put the network.

    Raises:
        ValueError: If the spec, what it returns or the weights are not what is expected.
        ImportError: If the module, or a library that is needed, can't be imported.
        RuntimeError: If the published weights can't be fetched.

    Example:
        >>> load_model("torch.nn:Identity").model
        Identity()
    """
    source, colon, name = spec.rpartition(":")
    if not (colon and source and name):
        raise ValueError(
            "expected a model as torchvision:NAME, timm:NAME, FILE.py:FUNCTION or "
            f"PACKAGE.MODULE:FUNCTION, got {spec!r}"
        )
    library = _LIBRARIES.get(source)
    published = weights is not None and library is not None and _is_published(weights)
    if library is not None:
        loaded = library(name, weights if published else None)
    else:
        loaded = _from_function(source, name)
    if weights is not None and not published:
        _load_weights(loaded.model, Path(weights))
    return LoadedModel(loaded.model.to(device).eval(), loaded.preprocessing, loaded.class_names)


def read_state(file: str | PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a weight file, running none of its code.

    They may be nested under ``state_dict``, ``model_state_dict``, ``model`` or ``net``, as training
    scripts do.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds more than tensors, or none.
        ImportError: If it is a safetensors file and that library is missing.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(
            f"expected a file of weights, got {str(file)!r}, which is not a file"
        )
    found = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    while isinstance(found, Mapping):
        inner = next((found[key] for key in _NESTED_UNDER if key in found), None)
        if not isinstance(inner, Mapping):
            break
        found = inner
    if not isinstance(found, Mapping) or not any(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(
            f"expected a state dict (names to tensors) in {file.name!r}, got "
            f"{_described(found)}: save one with torch.save(model.state_dict(), ...)"
        )
    return {str(key): value for key, value in found.items() if isinstance(value, Tensor)}


# ---------------------------------------------------------------------------------- libraries


def _is_published(weights: str | PathLike[str]) -> bool:
    """Say whether weights are named (DEFAULT, IMAGENET1K_V1) rather than a file."""
    return isinstance(weights, str) and weights.isidentifier() and not Path(weights).exists()


def _from_torchvision(name: str, weights: Any) -> LoadedModel:
    models = _library("torchvision.models")
    try:
        enum = models.get_model_weights(name)
    except ValueError:
        raise ValueError(
            f"expected a network of torchvision, got {name!r}, which torchvision "
            f"{_library('torchvision').__version__} doesn't have{_near(name, models.list_models())}"
            "; torchvision.models.list_models() lists them"
        ) from None
    if weights is None:
        return LoadedModel(models.get_model(name, weights=None))
    if weights not in enum.__members__:
        raise ValueError(
            f"expected weights of {name} as a file or one of {list(enum.__members__)}, got "
            f"{weights!r}, which is neither"
        )
    chosen = enum[weights]
    names = chosen.meta.get("categories")
    return LoadedModel(
        _fetched(name, lambda: models.get_model(name, weights=chosen)),
        Preprocessing.from_transforms(chosen.transforms()),
        None if names is None else tuple(names),
    )


def _from_timm(name: str, weights: Any) -> LoadedModel:
    timm, data = _library("timm"), _library("timm.data")
    if weights not in (None, "DEFAULT"):
        raise ValueError(f'expected weights of timm:{name} as a file or "DEFAULT", got {weights!r}')
    if not timm.is_model(name):
        raise ValueError(
            f"expected a network of timm, got {name!r}, which timm {timm.__version__} doesn't "
            f"have{_near(name, timm.list_models())}; timm.list_models() lists them"
        )
    pretrained = weights is not None
    model = _fetched(name, lambda: timm.create_model(name, pretrained=pretrained))
    if not pretrained:
        return LoadedModel(model)
    config = data.resolve_model_data_config(model)
    return LoadedModel(model, Preprocessing.from_transforms(data.create_transform(**config)))


def _near(name: str, known: list[str]) -> str:
    """Return names that may have been meant, as a question."""
    near = difflib.get_close_matches(name, known, 3)
    return f": did you mean {' or '.join(near)}?" if near else ""


def _library(name: str) -> ModuleType:
    library = name.partition(".")[0]
    declare_operators()  # timm imports torchvision, too
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == library:
            raise ImportError(
                f"{library}: networks take {library}: pip install {library}"
            ) from None
        raise
    except (ImportError, RuntimeError, OSError) as error:  # a build for another torch
        raise ImportError(
            f"{library} is installed but can't be imported ({error}): install the version that "
            f"was built for torch {torch.__version__}, or build the network in a FILE.py:FUNCTION"
        ) from error


def _fetched(name: str, build: Callable[[], Module]) -> Module:
    try:
        return build()
    except OSError as error:
        raise RuntimeError(
            f"the weights of {name} couldn't be fetched ({error}): check the connection, or fetch "
            "them elsewhere and name the file as weights"
        ) from error


_LIBRARIES: dict[str, Callable[[str, Any], LoadedModel]] = {
    "torchvision": _from_torchvision,
    "timm": _from_timm,
}


# --------------------------------------------------------------------------- a user's function


def _from_function(source: str, name: str) -> LoadedModel:
    is_file = source.endswith(".py")
    folder = Path(source).resolve().parent if is_file else Path.cwd()
    with _importable(folder):
        module = _run_file(Path(source)) if is_file else _run_module(source)
        if not hasattr(module, name):
            raise ValueError(
                f"expected a function {name!r} in {source}, which has none; it has "
                f"{_listed(_callables(module)) or 'no functions at all'}"
            )
        found = getattr(module, name)
        if callable(found) and not isinstance(found, (Module, LoadedModel)):
            found = _called(found, f"{source}:{name}")
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


def _called(function: Callable[[], Any], spec: str) -> Any:
    try:
        return function()
    except Exception as error:
        raise ValueError(
            f"expected {spec} to build a network when called without arguments; it raised "
            f"{_why(error)}"
        ) from error


def _callables(module: ModuleType) -> list[str]:
    public = ((name, value) for name, value in vars(module).items() if not name.startswith("_"))
    return [n for n, v in public if callable(v) and getattr(v, "__module__", "") == module.__name__]


# ------------------------------------------------------------------------------------- weights


def _read_safetensors(file: Path) -> object:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ImportError(
            f"reading {file.name!r} takes safetensors: pip install 'captum_influence[report]'"
        ) from None
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(
            f"expected a safetensors file, got {file.name!r}, which can't be read ({error}): it is "
            "cut short, or of another format"
        ) from error


def _read_pickle(file: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        asked = re.search(r"(?:GLOBAL|class|type) `?([\w.]+)`? ", str(error))
        what = f"it asks for {asked.group(1)}" if asked else "it isn't a plain pickle of tensors"
        raise ValueError(
            f"expected tensors only in {file.name!r}, but {what}: loading more could run code "
            "hidden in the file, so it is refused; where you trust it, load it yourself and save "
            "torch.save(model.state_dict(), ...), or build the network in a FILE.py:FUNCTION"
        ) from error
    except Exception as error:  # a foreign file makes the reader fail in any way
        script = "TorchScript" in str(error)
        what = "a TorchScript archive" if script else "a file that torch.load can't read"
        raise ValueError(
            f"expected a state dict in {file.name!r}, got {what}: save one with "
            "torch.save(model.state_dict(), ...)"
        ) from error


def _load_weights(model: Module, file: Path) -> None:
    state, own = read_state(file), model.state_dict()
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state) and not any(
            key.startswith(prefix) for key in own
        ):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {file.name!r} don't fit {type(model).__name__}: "
            f"{_differences(own, state) or error}; name the network that they were trained for "
            "(for another number of classes, build it in a FILE.py:FUNCTION)"
        ) from error


def _differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} (expected {tuple(own[key].shape)}, got {tuple(state[key].shape)})"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return "; ".join(f"{len(k)} {kind}: {_listed(k)}" for kind, k in kinds.items() if k)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _described(found: object) -> str:
    if isinstance(found, Mapping):
        return f"a dict with the keys {_listed([str(key) for key in found])}"
    return f"a {type(found).__name__}"


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

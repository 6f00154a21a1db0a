"""Weight files, read without running their code, and put into the network they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor
from torch.nn import Module

__all__ = ["listed", "load_weights", "read_state"]

_NESTED_UNDER = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, Lightning
_SHOWN = 5


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


def listed(names: list[str]) -> str:
    """Return the first of some names, and whether there are more."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def load_weights(model: Module, file: Path) -> None:
    """Put a file's weights into a network; what wrappers put before their names is taken off.

    Raises:
        ValueError: If they are another network's; and what :func:`read_state` raises.
    """
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


def _differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} (expected {tuple(own[key].shape)}, got {tuple(state[key].shape)})"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return "; ".join(f"{len(k)} {kind}: {listed(k)}" for kind, k in kinds.items() if k)


def _described(found: object) -> str:
    if isinstance(found, Mapping):
        return f"a dict with the keys {listed([str(key) for key in found])}"
    return f"a {type(found).__name__}"

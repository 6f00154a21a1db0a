"""Files of named tensors with a header: written whole or not at all, refused if foreign."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

__all__ = ["load", "save"]

_VERSION = 1


def save(path: Path, kind: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write safetensors with a JSON header, so that a reader sees the old file or the new one.

    Raises:
        ImportError: if safetensors isn't installed.
    """
    from_tensors = _safetensors("torch").save_file
    about = {"kind": f"captum_influence.{kind}", "version": str(_VERSION)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        from_tensors(whole, partial, metadata={**about, "header": json.dumps(header)})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what :func:`save` wrote.

    Raises:
        ValueError: if the file is truncated, of another kind, or of a later version.
    """
    opened, failed = _safetensors("").safe_open, _safetensors("").SafetensorError
    try:
        with opened(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except failed as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}): it was cut off, or is something "
            "else; write it again"
        ) from None
    if about.get("kind") != f"captum_influence.{kind}":
        raise ValueError(f"expected a saved {kind} in {path}, got {about.get('kind', 'no kind')}")
    if int(about.get("version", "0")) > _VERSION:
        raise ValueError(
            f"{path} has version {about['version']}, this package reads up to {_VERSION}: update it"
        )
    return json.loads(about["header"]), tensors


def _safetensors(module: str) -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError:
        raise ImportError(
            "saving and loading needs safetensors: pip install 'captum_influence[report]'"
        ) from None
    return safetensors.torch if module else safetensors

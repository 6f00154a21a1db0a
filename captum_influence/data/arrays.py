"""Files of arrays with a header: written whole, and refused when foreign or cut off."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["read_arrays", "write_arrays"]

_HEADER = "header"
_VERSION = 1


def write_arrays(
    path: str | Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, Tensor]
) -> Path:
    """Write an NPZ file; a reader sees the old file or the new one, never half of it."""
    path = Path(path)
    text = json.dumps({"format": kind, "version": _VERSION, **header})
    content: dict[str, Any] = {name: a.detach().cpu().numpy() for name, a in arrays.items()}
    content[_HEADER] = np.array(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, **content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_arrays(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write_arrays` wrote: the header and the arrays.

    Raises:
        ValueError: if the file is cut off, was written by something else, or by a later version.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            found = {name: np.array(stored[name]) for name in stored.files}
        header: dict[str, Any] = json.loads(str(found.pop(_HEADER)))
        known = header.get("format")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"expected a saved {kind} in {path.name!r}, got a file that is cut off or something "
            f"else ({type(error).__name__}); write it again"
        ) from error
    if known != kind:
        raise ValueError(f"expected a saved {kind} in {path.name!r}, got {known!r}")
    if header.get("version", 0) > _VERSION:
        raise ValueError(
            f"{path.name!r} has version {header['version']}, this package reads up to {_VERSION}; "
            "update it"
        )
    return header, {name: torch.from_numpy(array) for name, array in found.items()}

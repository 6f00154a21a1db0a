"""Files: written whole or not at all; of tensors with a header, whose every byte is checked.

The one format of the package is safetensors. Its metadata hold the kind, the version, a JSON header
and a digest of all of it, so that a file that was cut off or altered is refused in one sentence
instead of being read as other numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "kind_of",
    "mapped_tensors",
    "read_tensors",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
]

_VERSION = 2
_OURS = "captum_influence."


def write_bytes(path: str | PathLike[str], content: bytes) -> Path:
    """Write a file, so that a reader sees the old one or the new one; make its folder if need be.

    Raises:
        OSError: if it can't be written; what was there before stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def write_text(path: str | PathLike[str], text: str) -> Path:
    """Write text as UTF-8, like :func:`write_bytes`."""
    return write_bytes(path, text.encode("utf-8"))


def write_json(path: str | PathLike[str], content: Any) -> Path:
    """Write what JSON can hold, like :func:`write_bytes`; NaN and infinities are refused."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def write_tensors(
    path: str | PathLike[str], kind: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Path:
    """Write tensors and a JSON header, like :func:`write_bytes`.

    Raises:
        ImportError: if safetensors isn't installed.
        TypeError: if the header isn't JSON.
    """
    encode = _safetensors().torch.save
    text = json.dumps(header)
    # A clone each: safetensors refuses tensors that share memory, such as views of one another.
    whole = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    about = {"kind": f"{_OURS}{kind}", "version": str(_VERSION), "header": text}
    about["sha256"] = _digest(about, whole)
    return write_bytes(path, encode(whole, about))


def read_tensors(path: str | PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header and the tensors, on the CPU, that :func:`write_tensors` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it was cut off or altered, is of another kind, or of another version.
    """
    path = Path(path)
    about, tensors = _opened(path, kind)
    known = about.get("kind")
    if known != f"{_OURS}{kind}":
        raise ValueError(f"expected a saved {kind} in {path}, got {known or 'no kind'}")
    version = about.get("version", "")
    if version != str(_VERSION):
        raise ValueError(
            f"expected a {kind} of version {_VERSION} in {path}, got version {version or 'none'}: "
            "write it again with this version of the package"
        )
    if about.get("sha256") != _digest(about, tensors):
        raise ValueError(
            f"expected the {kind} in {path} as it was written, but its digest differs: the file "
            "was damaged or edited; write it again"
        )
    header: dict[str, Any] = json.loads(about["header"])
    return header, tensors


def mapped_tensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors of a file that was checked before, mapped into memory and not yet read.

    They begin at any byte of the file, so they are to be copied or converted, not calculated with.
    """
    with _safetensors().safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}


def kind_of(path: str | PathLike[str]) -> str | None:
    """Return what a file says that :func:`write_tensors` wrote in it; None of any other file."""
    try:
        with _safetensors().safe_open(path, framework="pt") as file:
            kind = str((file.metadata() or {}).get("kind", ""))
    except Exception:  # of many types, see below
        return None
    return kind.removeprefix(_OURS) if kind.startswith(_OURS) else None


def _opened(path: Path, kind: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    library = _safetensors()
    try:
        with library.safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            # A clone each: in the file a tensor begins at any byte. Memory that isn't aligned is
            # slow, and products of matrices come out different in the last bit.
            names = file.keys()
            return about, {name: file.get_tensor(name).clone() for name in names}
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    # Damaged headers come out as errors of many types: of safetensors, of Python, of torch.
    except Exception as error:
        raise ValueError(
            f"expected a saved {kind} in {path}, got a file that is cut off, damaged or something "
            f"else ({type(error).__name__}: {' '.join(str(error).split())[:200]}); write it again"
        ) from None


def _digest(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in ("kind", "version", "header"):
        found.update(f"{name}\0{about.get(name)}\0".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        # A clone: one number out of a larger tensor is contiguous as it is, whatever its stride.
        whole = tensor.clone(memory_format=torch.contiguous_format).flatten()
        found.update(whole.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError:
        raise ImportError(
            "saving and loading needs safetensors: pip install 'captum_influence[report]'"
        ) from None
    return safetensors

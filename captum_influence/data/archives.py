"""Keeping an explanation: a JSON file that can be read, and an NPZ file with its pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["places", "read_archive", "write_archive"]

FORMAT = "captum_influence.Explanation"
VERSION = 1


def places(path: str | PathLike[str]) -> tuple[Path, Path]:
    """Return where the two files lie: beside a path that ends in .json or .npz, else inside it."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".json", ".npz") else path / "explanation"
    return stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".npz")


def write_archive(
    path: str | PathLike[str], content: Mapping[str, Any], arrays: Mapping[str, Tensor]
) -> tuple[Path, Path]:
    """Write what can be read as text and what can't; return both paths."""
    text, binary = places(path)
    text.parent.mkdir(parents=True, exist_ok=True)
    whole = {"format": FORMAT, "version": VERSION, **content}
    text.write_text(json.dumps(plain(whole), indent=2, ensure_ascii=False) + "\n", "utf-8")
    with binary.open("wb") as stream:
        plain_arrays: dict[str, Any] = {name: array.numpy() for name, array in arrays.items()}
        np.savez_compressed(stream, **plain_arrays)
    return text, binary


def read_archive(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read both files back.

    Raises:
        ValueError: if one of them is missing, or wasn't written by this version.
    """
    text, binary = places(path)
    for file in (text, binary):
        if not file.is_file():
            raise ValueError(
                f"expected a saved explanation at {str(path)!r}, but there is no {file.name}: give "
                "the folder, or one of the two files, that Explanation.save wrote"
            )
    try:
        content = json.loads(text.read_text("utf-8"))
        found = (content.get("format"), content.get("version"))
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        found = ("something else", None)
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{text.name} holds {found[0]!r}, version {found[1]}; expected {FORMAT!r}, version "
            f"{VERSION}: save the explanation again with this version of the package"
        )
    with np.load(binary, allow_pickle=False) as stored:
        return content, {name: stored[name] for name in stored.files}


def plain(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

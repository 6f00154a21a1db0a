"""Class names: reading them from a file, and finding a class by its name or number."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["class_index", "read_class_names"]

_CLOSE = 3


def read_class_names(path: str | Path) -> dict[int, str]:
    """Read the names of classes, by class number counted from 0.

    Understood are a JSON list of names; a JSON object ``{"817": "sports car"}``, also with
    ``["n04285008", "sports_car"]`` as values, or turned round, ``{"sports car": 817}``; and any
    other file as text, one name per line.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"expected a file of class names, got {str(file)!r}, which is not a file"
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = json.loads(text) if file.suffix == ".json" else text.rstrip().splitlines()
        names = _named(found)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"expected class names in {file.name!r} as JSON or, in UTF-8, one per line; it can't "
            f"be read ({error})"
        ) from error
    if not names:
        raise ValueError(
            f"expected class names in {file.name!r}, got {type(found).__name__} without any: give "
            'a JSON list of names, an object {"817": "sports car"}, or one name per line'
        )
    return names


def class_index(text: str, names: Mapping[int, str] | None, outputs: int | None = None) -> int:
    """Return the number of a class that is named, or numbered, on the command line.

    Raises:
        ValueError: If there is no such class, or more than one of that name.
    """
    index = int(text) if text.strip().isdecimal() else _index_of_name(text, names)
    if outputs is not None and index >= outputs:
        raise ValueError(
            f"expected a class from 0 to {outputs - 1}, got {index}: the network has {outputs} "
            "outputs"
        )
    return index


def _index_of_name(text: str, names: Mapping[int, str] | None) -> int:
    if names is None:
        raise ValueError(
            f"expected the number of a class, got {text!r}, and no names are known: say which with "
            "--labels FILE"
        )
    wanted = _plain(text)
    found = [index for index, name in names.items() if _plain(name) == wanted]
    if len(found) > 1:
        raise ValueError(
            f"expected one class, got {text!r}, the name of {_both(found)}: give the number instead"
        )
    if not found:
        close = difflib.get_close_matches(wanted, map(_plain, names.values()), _CLOSE)
        similar = f"; similar names: {', '.join(close)}" if close else ""
        raise ValueError(
            f"expected a class by number or name, got {text!r}, which is none of the {len(names)} "
            f"names{similar}"
        )
    return found[0]


def _named(found: Any) -> dict[int, str]:
    """Return the names in what a file held, by number; none if it isn't understood."""
    if isinstance(found, list):
        return {index: _name(value) for index, value in enumerate(found)}
    if not isinstance(found, Mapping):
        return {}
    if all(isinstance(value, int) for value in found.values()):
        return {index: str(name) for name, index in found.items()}
    if not all(str(key).strip().isdecimal() for key in found):
        return {}
    return {int(key): _name(value) for key, value in found.items()}


def _name(value: Any) -> str:
    """Return a name, of torchvision's pairs of WordNet id and name the second."""
    return str(value[-1]).replace("_", " ") if isinstance(value, list) and value else str(value)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _both(numbers: list[int]) -> str:
    return " and ".join(f"class {number}" for number in numbers)

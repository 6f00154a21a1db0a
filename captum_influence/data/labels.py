"""Class names: reading them from a file, and finding a class by its name or number."""

from __future__ import annotations

import difflib
import json
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Names", "class_index", "class_name", "read_class_names"]

Names = Sequence[str] | Mapping[int, str] | None

_CLOSE = 3
_LISTED = 12  # names: so many fit into a line that is read


def read_class_names(path: str | Path) -> dict[int, str]:
    """Read the names of classes, by class number counted from 0.

    Understood are a JSON list of names; a JSON object ``{"817": "sports car"}``, also with
    ``["n04285008", "sports_car"]`` as values, or turned round, ``{"sports car": 817}``; and any
    other file as text, one name per line.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything else.
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


def class_name(index: int, names: Names) -> str:
    """Return the name of a class, ``class 3`` if it has none."""
    if names is None:
        return f"class {index}"
    if isinstance(names, Mapping):
        return str(names.get(index, f"class {index}"))
    return str(names[index]) if -len(names) <= index < len(names) else f"class {index}"


def class_index(value: int | str, names: Names, outputs: int | None = None) -> int:
    """Return the number of a class that is named, or numbered.

    Args:
        value: a number, or a name; letter case and underscores don't matter.
        names: of the classes.
        outputs: how many classes the network scores; None: not known.

    Raises:
        ValueError: if there is no such class, or more than one of that name.
    """
    if isinstance(value, str) and not value.strip().isdecimal():
        index = _index_of_name(value, names)
    else:
        index = operator.index(int(value) if isinstance(value, str) else value)
    if outputs is not None and not 0 <= index < outputs:
        raise ValueError(
            f"expected a class from 0 to {outputs - 1}, got {index}: the network has {outputs} "
            "outputs"
        )
    return index


def _index_of_name(text: str, names: Names) -> int:
    if names is None:
        raise ValueError(
            f"expected the number of a class, got {text!r}, and no names are known: say which by "
            "class_names=, from the shell by --labels FILE"
        )
    numbered = names.items() if isinstance(names, Mapping) else enumerate(names)
    known = {number: _plain(str(name)) for number, name in numbered}
    wanted = _plain(text)
    found = [index for index, name in known.items() if name == wanted]
    if len(found) > 1:
        raise ValueError(
            f"expected one class, got {text!r}, the name of {_both(found)}: give the number instead"
        )
    if not found:
        close = difflib.get_close_matches(wanted, known.values(), _CLOSE)
        similar = f"; similar names: {', '.join(close)}" if close else ""
        every = [class_name(index, names) for index in known]
        listed = f"; there are {', '.join(every)}" if len(every) <= _LISTED else ""
        raise ValueError(
            f"expected a class by number or name, got {text!r}, which is none of the {len(known)} "
            f"names{similar}{listed}"
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

"""Pairs of prompts out of a file, with what is asked of each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PromptPairs", "read_prompt_pairs"]

_COLUMNS = ("clean", "corrupted", "target", "versus")


@dataclass(frozen=True, kw_only=True)
class PromptPairs:
    """Texts, and as many that they are compared with.

    Attributes:
        clean: what is asked about.
        corrupted: another text for each.
        target: the answer of each that is asked about; empty: not said.
        versus: another answer of each; empty: not said.
    """

    clean: tuple[str, ...]
    corrupted: tuple[str, ...]
    target: tuple[str, ...] = ()
    versus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        sizes = {name: len(getattr(self, name)) for name in _COLUMNS if getattr(self, name)}
        if not self.clean or len(set(sizes.values())) != 1 or "corrupted" not in sizes:
            raise ValueError(
                f"expected a corrupted text, and a target if any, for each clean one, got {sizes}"
            )


def read_prompt_pairs(path: str | Path) -> PromptPairs:
    """Read pairs of prompts: CSV with a header, or JSON, a list of objects.

    Columns or names are ``clean`` and ``corrupted``; ``target`` and ``versus`` may be there.
    Spaces at the ends of a text are kept, as they may be part of a token.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything else.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"expected a file of prompts, got {str(file)!r}, which is no file")
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = (
            json.loads(text) if file.suffix == ".json" else list(csv.DictReader(io.StringIO(text)))
        )
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"expected CSV or JSON in {file.name!r}, got neither ({error})") from error
    if not isinstance(found, list) or not found:
        raise ValueError(f"expected a row for each pair of prompts in {file.name!r}, got none")
    columns = {name: _column(found, name, file.name) for name in _COLUMNS}
    return PromptPairs(**columns)


def _column(rows: list[Any], name: str, file: str) -> tuple[str, ...]:
    """Return what all rows say of a column; of one that may be left out, nothing if none does."""
    said = [row.get(name) if isinstance(row, Mapping) else None for row in rows]
    if name not in ("clean", "corrupted") and all(value in (None, "") for value in said):
        return ()
    lacking = [n for n, value in enumerate(said, 1) if not isinstance(value, str) or not value]
    if lacking:
        raise ValueError(
            f"expected a text as {name!r} in every row of {file!r}, got none in row {lacking[0]}: "
            "columns are clean, corrupted and, if you like, target and versus"
        )
    return tuple(map(str, said))

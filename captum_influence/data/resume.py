"""Going on where a run was killed: what a pass had so far, in a file that says what it is of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from captum_influence.data.files import read_tensors, write_tensors
from captum_influence.data.identity import UNKNOWN
from captum_influence.data.records import apart, together
from captum_influence.data.sharding import Shard

__all__ = ["Resume", "read_record", "write_record"]

_EVERY = 16  # batches between two writes
_SHOWN = 60  # characters of each side of a difference
_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")

T = TypeVar("T")


@dataclass(frozen=True)
class Resume(Generic[T]):
    """The file that one process's part of a pass goes on from, if it is killed.

    Attributes:
        path: the file; None writes nothing. With several processes, each adds its rank.
        kind: what the state is, a dataclass of what :func:`apart` can take apart.
        identity: all that tells this question from another, as JSON can hold it.
        shard: this process's share.
        every: batches of this process between two writes.
    """

    path: Path | None
    kind: type[T]
    identity: Mapping[str, Any]
    shard: Shard
    every: int = _EVERY

    @property
    def file(self) -> Path | None:
        """The file of this process."""
        if self.path is None or self.shard.world == 1:
            return self.path
        return self.path.with_name(f"{self.path.name}.{self.shard.rank}of{self.shard.world}")

    def read(self) -> T | None:
        """Return how far the pass had come; None at the beginning.

        Raises:
            ValueError: if the file belongs to another question, or is damaged.
        """
        if self.file is None or not self.file.exists():
            return None
        return read_record(self.file, "checkpoint", self.kind, self._whole_identity)

    def write(self, state: T) -> None:
        """Write how far the pass has come."""
        if self.file is not None:
            write_record(self.file, "checkpoint", state, self._whole_identity)

    def is_due(self, number: int) -> bool:
        """Say whether it is time to write after the batch of this number."""
        return self.file is not None and (number // self.shard.world + 1) % self.every == 0

    def remove(self) -> None:
        """Remove the file: the pass is at its end."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    @property
    def _whole_identity(self) -> dict[str, Any]:
        return {**self.identity, "rank": self.shard.rank, "world": self.shard.world}


def write_record(
    path: str | Path, kind: str, record: Any, identity: Mapping[str, Any] | None = None
) -> Path:
    """Write a dataclass, and which question it belongs to; a reader never sees half of it.

    Args:
        path: the file.
        kind: of file, for messages.
        record: what is kept.
        identity: all that tells the question from another, as JSON can hold it.
    """
    content, tensors = apart(record)
    return write_tensors(path, kind, {"identity": identity or {}, "state": content}, tensors)


def read_record(path: Path, kind: str, record: type[T], identity: Mapping[str, Any]) -> T:
    """Return the dataclass that :func:`write_record` wrote, with its tensors on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it belongs to another question, naming what differs, or is damaged.
    """
    header, tensors = read_tensors(path, kind)
    known, wanted = header.get("identity", {}), json.loads(json.dumps(identity))
    differing = [key for key in wanted if not _alike(known.get(key), wanted[key])]
    if differing:
        pairs = {key: _innermost(known.get(key), wanted[key]) for key in differing}
        sides = (f"{k} ({_short(a)} there, {_short(b)} here)" for k, (a, b) in pairs.items())
        raise ValueError(
            f"expected a {kind} of this question in {path}, but it belongs to another question: "
            f"{', '.join(sides)} differ; ask the same, remove the file, or name another"
        )
    found: T = together(record, header.get("state"), tensors)
    return found


def _alike(known: Any, wanted: Any) -> bool:
    """Compare what tells questions apart, as far as it is known on both sides."""
    if UNKNOWN in (known, wanted):
        return True
    if isinstance(known, list) and isinstance(wanted, list):
        return len(known) == len(wanted) and all(map(_alike, known, wanted))
    if isinstance(known, dict) and isinstance(wanted, dict):
        return known.keys() == wanted.keys() and all(_alike(known[k], wanted[k]) for k in known)
    return bool(known == wanted and type(known) is type(wanted))


def _innermost(known: Any, wanted: Any) -> tuple[Any, Any]:
    """Return the first parts in which two descriptions differ."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(known, list) and isinstance(wanted, list) and len(known) == len(wanted):
        inner = list(zip(known, wanted, strict=True))
    elif isinstance(known, dict) and isinstance(wanted, dict) and known.keys() == wanted.keys():
        inner = [(known[key], wanted[key]) for key in known]
    differing = [pair for pair in inner if not _alike(*pair)]
    return _innermost(*differing[0]) if differing else (known, wanted)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    text = _DIGEST.sub(r"\1…", text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"

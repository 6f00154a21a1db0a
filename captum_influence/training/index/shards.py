"""The files of an index: shards written whole or not at all, and a plan that says what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from captum_influence.data.files import mapped_tensors, read_tensors, write_tensors
from captum_influence.data.resume import read_record, write_record
from captum_influence.data.samples import Trail
from captum_influence.data.sharding import Shard
from captum_influence.training.index.entries import Short

__all__ = ["IndexFolder", "IndexPlan", "Reached"]

_KIND = "influence shard"


@dataclass(frozen=True)
class IndexPlan:
    """What an index consists of.

    Attributes:
        build: what its shards are marked with, so that none of another build is taken for one.
        examples: how many it has; 0 while it is being built.
        shards: names of its files, in order.
    """

    build: str
    examples: int = 0
    shards: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reached:
    """How far a process has come with its share.

    Attributes:
        shards: names of the files that it wrote.
        examples: how many are in them.
        next: the number of the batch to go on from.
        trail: a digest of the batches so far, where they can't be had by index.
    """

    shards: tuple[str, ...] = ()
    examples: int = 0
    next: int = 0
    trail: str = ""

    @property
    def seen(self) -> Trail:
        """What the rest of the pass has to follow."""
        return Trail(self.trail, self.next)


@dataclass(frozen=True, eq=False)
class IndexFolder:
    """A folder with an index, or with the part of it that is written.

    Attributes:
        path: the folder.
        identity: all that tells the index's question from another, as JSON can hold it.
    """

    path: Path
    identity: Mapping[str, Any]
    _checked: set[str] = field(default_factory=set, init=False)

    @property
    def curvature(self) -> Path:
        """The file of the fitted curvature."""
        return self.path / "curvature.safetensors"

    @property
    def fitting(self) -> Path:
        """The file that fitting goes on from, if it is killed."""
        return self.path / "fitting.safetensors"

    @property
    def _plan(self) -> Path:
        return self.path / "index.safetensors"

    def plan(self) -> IndexPlan | None:
        """Return what the index consists of; None: nobody has begun.

        Raises:
            ValueError: if it belongs to another question, naming what differs, or is damaged.
        """
        if not self._plan.exists():
            return None
        return read_record(self._plan, "influence index", IndexPlan, self.identity)

    def write_plan(self, plan: IndexPlan) -> None:
        """Write what the index consists of (by the first process only)."""
        if Shard.current().rank == 0:
            write_record(self._plan, "influence index", plan, self.identity)

    def is_whole(self, plan: IndexPlan) -> bool:
        """Return whether the index is built, and all of its files are there."""
        return plan.examples > 0 and all((self.path / name).exists() for name in plan.shards)

    def reached(self, build: str, shard: Shard) -> Reached:
        """Return how far a process had come with a build.

        Raises:
            ValueError: if one of its files is damaged.
        """
        found = Reached()
        while (path := self.path / _name(shard, len(found.shards))).exists():
            header, _ = read_tensors(path, _KIND)
            if header["build"] != build:
                break
            names = (*found.shards, path.name)
            found = Reached(names, header["examples"], header["next"], header["trail"])
        return found

    def write(self, build: str, shard: Shard, reached: Reached, parts: Sequence[Short]) -> Reached:
        """Write some batches as a process's next shard, and return how far it has come.

        Args:
            build: to mark it with.
            shard: of this process.
            reached: how far it has come, but for the shard's name and examples.
            parts: the batches.
        """
        short, name = Short.joined(list(parts)), _name(shard, len(reached.shards))
        found = replace(
            reached,
            shards=(*reached.shards, name),
            examples=reached.examples + len(short.places),
        )
        header = {"examples": found.examples, "next": found.next, "trail": found.trail}
        write_tensors(self.path / name, _KIND, {"build": build, **header}, _tensors(short))
        return found

    def read(self, build: str, name: str) -> Short:
        """Return a shard: read and checked the first time, mapped into memory from then on.

        Raises:
            FileNotFoundError: if it isn't there.
            ValueError: if it is damaged, or of another build.
        """
        path = self.path / name
        if name in self._checked:
            return _short(mapped_tensors(path))
        header, tensors = read_tensors(path, _KIND)
        if header["build"] != build:
            raise ValueError(
                f"expected a shard of this index in {path}, got one of another build: remove the "
                "file and call index() again, which writes it anew"
            )
        self._checked.add(name)
        return _short(tensors)


def _name(shard: Shard, number: int) -> str:
    return f"shard-{shard.rank}of{shard.world}-{number:06}.safetensors"


def _tensors(short: Short) -> dict[str, Tensor]:
    rows = {f"rows/{name}": rows for name, rows in short.rows.items()}
    scales = {f"scales/{name}": scales for name, scales in short.scales.items()}
    return {"places": short.places, **rows, **scales}


def _short(tensors: Mapping[str, Tensor]) -> Short:
    def under(kind: str) -> dict[str, Tensor]:
        return {
            name.partition("/")[2]: tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{kind}/")
        }

    return Short(tensors["places"], under("rows"), under("scales"))

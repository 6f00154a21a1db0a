"""Batches of a data set in a fixed order, sharded under torchrun, with a place to resume from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler

from captum_influence.data.sharding import Shard

__all__ = ["Batch", "ResumeFile", "Source", "check_identity", "whole_batches", "write_whole"]

SAVE_EVERY = 16  # batches between two writes of a resume file
END = 2**62  # the next batch of a finished pass


class Batch(NamedTuple):
    """One batch and its place in the data set."""

    number: int
    start: int  # index of its first example
    inputs: tuple[Any, ...]
    target: Any

    @property
    def size(self) -> int:
        """The number of examples."""
        first = next((x for x in (*self.inputs, self.target) if isinstance(x, Tensor)), None)
        return len(self.inputs[0]) if first is None else len(first)

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        moved = tuple(x.to(device) if isinstance(x, Tensor) else x for x in self.inputs)
        target = self.target.to(device) if isinstance(self.target, Tensor) else self.target
        return Batch(self.number, self.start, moved, target)


@dataclass(frozen=True, eq=False)
class Source:
    """A data set that can be read again and again in the same order.

    Args:
        data: a Dataset, or a DataLoader that does not shuffle; items or batches are tuples whose
            last element is the target.
        batch_size: the batch size for a Dataset.

    Raises:
        ValueError: for a shuffling loader or a batch size below one.
    """

    data: Dataset[Any] | DataLoader[Any]
    batch_size: int

    def __post_init__(self) -> None:
        """Check order and batch size."""
        if isinstance(self.data, DataLoader) and isinstance(self.data.sampler, RandomSampler):
            raise ValueError(
                "expected a DataLoader with shuffle=False, got one that shuffles; training "
                "images are named by their place, so pass the data set itself or an ordered one"
            )
        if not isinstance(self.data, DataLoader) and self.batch_size < 1:
            raise ValueError(f"expected a batch_size of at least 1, got {self.batch_size}")

    @staticmethod
    def ensure(inputs: Any) -> Source:
        """Turn a batch `(*inputs, target)`, a Dataset or a DataLoader into a source."""
        if not isinstance(inputs, (tuple, list)):
            return Source(inputs, 64)
        return Source(whole_batches([tuple(inputs)]), 1)

    @property
    def length(self) -> int | None:
        """The number of examples, if it can be known without reading."""
        data = self.data.dataset if isinstance(self.data, DataLoader) else self.data
        if isinstance(self.data, DataLoader) and self.data.batch_size is None:
            return None  # the items are whole batches
        try:
            return len(data)  # type: ignore[arg-type]  # a Dataset may have no length
        except TypeError:
            return None

    def count(self) -> int:
        """The number of examples, read through if need be."""
        known = self.length
        return sum(b.size for b in self._skipping(Shard(), 0)) if known is None else known

    def batches(
        self, shard: Shard, *, begin: int = 0, show_progress: bool = False, title: str = ""
    ) -> Iterator[Batch]:
        """This shard's batches from number `begin` on.

        Raises:
            ValueError: if the data set has no batch at all.
        """
        numbered = self._numbered(shard, begin)
        if show_progress and shard.rank == 0:
            numbered = _with_bar(numbered, self._count(), begin, title)
        yield from numbered

    def _numbered(self, shard: Shard, begin: int) -> Iterator[Batch]:
        if isinstance(self.data, (DataLoader, IterableDataset)) or self.length is None:
            yield from self._skipping(shard, begin)
            return
        size, length = self.batch_size, self.length
        numbers = [i for i in range(begin, -(-length // size)) if shard.owns(i)]
        spans = [list(range(i * size, min(length, (i + 1) * size))) for i in numbers]
        _refuse_empty(length)
        loader: DataLoader[Any] = DataLoader(self.data, batch_sampler=spans)
        for number, item in zip(numbers, loader, strict=True):
            yield _batch(number, number * size, item)

    def _skipping(self, shard: Shard, begin: int) -> Iterator[Batch]:
        loader: DataLoader[Any]
        loader = self.data if isinstance(self.data, DataLoader) else self._loader()
        start = 0
        for number, item in enumerate(loader):
            batch = _batch(number, start, item)
            start += batch.size
            if number >= begin and shard.owns(number):
                yield batch
        _refuse_empty(start)

    def _loader(self) -> DataLoader[Any]:
        data = self.data
        return data if isinstance(data, DataLoader) else DataLoader(data, self.batch_size)

    def _count(self) -> int | None:
        try:
            return len(self._loader())
        except TypeError:
            return None


def whole_batches(batches: Sequence[Any]) -> DataLoader[Any]:
    """A loader of batches that are there already."""
    return DataLoader(_Batches(batches), batch_size=None)


class _Batches(Dataset[Any]):
    """Whole batches as the items of a data set."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]

    def __len__(self) -> int:
        return len(self.batches)


def _batch(number: int, start: int, item: Any) -> Batch:
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        came = f"{len(item)} elements" if isinstance(item, (tuple, list)) else type(item).__name__
        raise TypeError(
            "expected batches of at least two elements, the inputs and then the target, got "
            f"{came}; let the data set return (input, target)"
        )
    return Batch(number, start, tuple(item[:-1]), item[-1])


def _refuse_empty(length: int) -> None:
    if length == 0:
        raise ValueError("expected at least one example, got an empty data set; check its filter")


def _with_bar(
    batches: Iterator[Batch], total: int | None, begin: int, title: str
) -> Iterator[Batch]:
    """Show how many batches are done; with several processes, the first one's place."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]  # only when asked for

    done = begin if total is None else min(begin, total)
    with tqdm(total=total, initial=done, desc=title, unit="batch") as bar:
        for batch in batches:
            yield batch
            bar.update(batch.number + 1 - bar.n)
        bar.update((total or bar.n) - bar.n)


@dataclass(frozen=True)
class ResumeFile:
    """Partial sums of a pass on disk; a killed run goes on where it stopped.

    Args:
        path: the file; `None` writes nothing. With several processes each adds its rank.
        identity: what the sums belong to; a file of something else is refused.
        shard: this process's share.
    """

    path: Path | None
    identity: Mapping[str, Any]
    shard: Shard

    @property
    def file(self) -> Path | None:
        """The file of this process."""
        if self.path is None or self.shard.world == 1:
            return self.path
        return self.path.with_name(f"{self.path.name}.{self.shard.rank}of{self.shard.world}")

    def read(self) -> dict[str, Any]:
        """The saved state, or an empty one.

        Raises:
            ValueError: if the file belongs to another computation.
        """
        if self.file is None or not self.file.exists():
            return {}
        saved: dict[str, Any] = torch.load(self.file, weights_only=True)
        check_identity(saved["identity"], self.identity, self.file)
        state: dict[str, Any] = saved["state"]
        return state

    def write(self, state: Mapping[str, Any], *, number: int | None = None) -> None:
        """Save; with `number`, only when this process's batch count says it is time."""
        if self.file is None:
            return
        if number is None or (number // self.shard.world + 1) % SAVE_EVERY == 0:
            write_whole(self.file, {"identity": dict(self.identity), "state": dict(state)})


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    torch.save(dict(content), partial)
    partial.replace(path)


def check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Refuse a file that was written for something else, naming what differs."""
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        raise ValueError(
            f"expected {path.name} to belong to this computation, but it differs in "
            f"{_differences(differing, found, wanted)}; delete the file or name another one"
        )


def _differences(keys: Sequence[str], found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return "; ".join(f"{k}: {found.get(k)!r} there, {wanted[k]!r} here" for k in keys)

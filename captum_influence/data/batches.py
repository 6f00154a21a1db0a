"""The batches of a loader in an order that is known, so that a pass can be shared and resumed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from captum_influence.data.sharding import Shard

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch: its number, the place of its first example, its inputs and its labels.

    ``inputs`` are tensors (examples, ...); ``labels`` is None where the loader gives none.
    """

    number: int
    start: int
    inputs: tuple[Tensor, ...]
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; copies from pinned memory don't wait."""
        fast = device.type == "cuda"
        moved = tuple(x.to(device, non_blocking=fast and x.is_pinned()) for x in self.inputs)
        labels = None if self.labels is None else self.labels.to(device, non_blocking=fast)
        return Batch(self.number, self.start, moved, labels)


@dataclass(frozen=True, eq=False)
class Batches:
    """A loader's batches from one on, for one process.

    Args:
        loader: a DataLoader, or any iterable of batches: tensors, or (inputs, labels) pairs.
        order: the examples of each batch, if the loader has a batch sampler; drawn once, so that
            a shuffled loader has the same order in every process and after a resume.
    """

    loader: Iterable[Any]
    order: tuple[tuple[int, ...], ...] | None

    @staticmethod
    def of(loader: Iterable[Any], order: Sequence[Sequence[int]] | None, shard: Shard) -> Batches:
        """Draw the order, unless it is known from a checkpoint; all processes get the first's."""
        indexed = isinstance(loader, DataLoader) and loader.batch_sampler is not None
        if not indexed or isinstance(getattr(loader, "dataset", None), IterableDataset):
            return Batches(loader, None)
        # Some of the processes may have a checkpoint and others none, if they died early.
        known = [other for other in shard.gather(order) if other is not None]
        drawn = known or shard.gather(list(getattr(loader, "batch_sampler")))  # noqa: B009  # the type of a loader's sampler is lost
        chosen = drawn[0]
        if any(list(other) != list(chosen) for other in known):
            raise ValueError(
                "expected the checkpoints of one run, got some that went through the loader in "
                "another order: remove them"
            )
        return Batches(loader, tuple(tuple(int(i) for i in batch) for batch in chosen))

    def __len__(self) -> int:
        if self.order is not None:
            return len(self.order)
        return len(self.loader) if isinstance(self.loader, Sized) else 0

    def iterate(self, first: int, shard: Shard) -> Iterator[Batch]:
        """Yield this process's batches from number ``first`` on."""
        if self.order is None:
            yield from self._counted(first, shard)
            return
        starts = [0]
        for batch in self.order:
            starts.append(starts[-1] + len(batch))
        mine = [n for n in range(first, len(self.order)) if shard.owns(n)]
        for number, item in zip(mine, self._part(mine), strict=True):
            yield _batch(number, starts[number], item)

    def _part(self, numbers: Sequence[int]) -> Iterable[Any]:
        """Load only these batches, as the loader would."""
        loader: Any = self.loader
        order = self.order or ()
        return DataLoader(
            loader.dataset,
            batch_sampler=[list(order[n]) for n in numbers],
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
        )

    def _counted(self, first: int, shard: Shard) -> Iterator[Batch]:
        start = 0
        for number, item in enumerate(self.loader):
            batch = _batch(number, start, item)
            start += len(batch)
            if number >= first and shard.owns(number):
                yield batch


def _batch(number: int, start: int, item: Any) -> Batch:
    inputs, labels = item, None
    if isinstance(item, Mapping):
        raise TypeError(
            f"expected batches of tensors or (inputs, labels) pairs, got a mapping with "
            f"{list(item)}: give the DataLoader a collate_fn that picks them"
        )
    if isinstance(item, (tuple, list)):
        inputs, labels = (item[0], item[1]) if len(item) == 2 else (item[0], None)
    tensors = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    if not tensors or not all(isinstance(x, Tensor) for x in tensors):
        raise TypeError(
            "expected batches of tensors or (inputs, labels) pairs, got "
            f"{type(item).__name__} of {[type(x).__name__ for x in tensors]}"
        )
    labels = None if labels is None else torch.as_tensor(labels)
    return Batch(number, start, tensors, labels)

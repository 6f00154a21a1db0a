"""The one reader of loaders: their batches in a known order, for one process, from any one on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler
from tqdm.auto import tqdm

from captum_influence.data.sharding import Shard

__all__ = [
    "Batch",
    "Batches",
    "Order",
    "columns",
    "images_of",
    "labelled",
    "maybe_labelled",
    "pair",
    "repeatable",
]

Order = Sequence[Sequence[int]]
"""The examples of each batch, by their index in the data set."""

Split = Callable[[Any], tuple[tuple[Any, ...], Any]]
"""Tells what a loader yields apart: the inputs, and the target or None."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch and its place in the data set.

    Attributes:
        number: its own.
        start: that of its first example.
        inputs: what the network takes, each (examples, ...).
        target: the labels or another target; None where the loader gives none.
    """

    number: int
    start: int
    inputs: tuple[Any, ...]
    target: Any

    def __len__(self) -> int:
        tensors = (x for x in (*self.inputs, self.target) if isinstance(x, Tensor))
        return len(next(tensors, self.inputs[0]))

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; copies from pinned memory don't wait."""
        inputs = tuple(_moved(x, device) for x in self.inputs)
        return replace(self, inputs=inputs, target=_moved(self.target, device))


def _moved(value: Any, device: torch.device) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.to(device, non_blocking=device.type == "cuda" and value.is_pinned())


# What a loader yields


def pair(item: Any) -> tuple[tuple[Any, ...], Any]:
    """Tell inputs, or (inputs, labels), apart; the inputs may be several.

    Raises:
        TypeError: if it is anything else.
    """
    inputs, labels = item, None
    if isinstance(item, Mapping):
        raise TypeError(
            f"expected batches of tensors or (inputs, labels) pairs, got a mapping with "
            f"{list(item)}: give the DataLoader a collate_fn that picks them"
        )
    if isinstance(item, tuple | list):
        inputs, labels = (item[0], item[1]) if len(item) == 2 else (item[0], None)
    tensors = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    if not tensors or not all(isinstance(x, Tensor) for x in tensors):
        raise TypeError(
            "expected batches of tensors or (inputs, labels) pairs, got "
            f"{type(item).__name__} of {[type(x).__name__ for x in tensors]}"
        )
    return tensors, None if labels is None else torch.as_tensor(labels)


def columns(item: Any) -> tuple[tuple[Any, ...], Any]:
    """Tell ``(*inputs, target)`` apart.

    Raises:
        TypeError: if there is no target.
    """
    if not isinstance(item, tuple | list) or len(item) < 2:
        came = f"{len(item)} elements" if isinstance(item, tuple | list) else type(item).__name__
        raise TypeError(
            "expected batches of at least two elements, the inputs and then the target, got "
            f"{came}; let the data set return (input, target)"
        )
    return tuple(item[:-1]), item[-1]


# In which order


@dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a loader, numbered, so that a pass over them can be shared and resumed.

    Attributes:
        loader: a DataLoader, or any iterable of batches.
        split: tells what it yields apart.
        order: the examples of each batch, if they can be loaded by their indices; None: batches
            are counted as the loader yields them.
    """

    loader: Iterable[Any]
    split: Split
    order: Order | None = None

    @staticmethod
    def shared(loader: Iterable[Any], shard: Shard, known: Order | None = None) -> Batches:
        """Return a loader's batches in an order that is drawn once, for all processes.

        So a shuffled loader has the same order in every process and after a resume.

        Args:
            loader: yields inputs, or (inputs, labels).
            shard: of this process; all get the first's order.
            known: the order that a checkpoint of this process remembers.

        Raises:
            ValueError: if the processes remember different orders.
        """
        indexed = isinstance(loader, DataLoader) and loader.batch_sampler is not None
        if not indexed or isinstance(getattr(loader, "dataset", None), IterableDataset):
            return Batches(loader, pair)
        # Some of the processes may have a checkpoint and others none, if they died early.
        remembered = [_plain(other) for other in shard.gather(known) if other is not None]
        # The type of a loader's sampler is lost.
        drawn = remembered or shard.gather(_plain(getattr(loader, "batch_sampler")))  # noqa: B009
        if any(other != drawn[0] for other in remembered):
            raise ValueError(
                "expected the checkpoints of one run, got some that went through the loader in "
                "another order: remove them"
            )
        return Batches(loader, pair, drawn[0])

    @staticmethod
    def ordered(data: Dataset[Any] | DataLoader[Any], batch_size: int = 64) -> Batches:
        """Return the batches of a data set that can be read again and again in the same order.

        Args:
            data: a Dataset, or a DataLoader that doesn't shuffle, of ``(*inputs, target)``.
            batch_size: of a Dataset.

        Raises:
            ValueError: for a shuffling loader or a batch size below one.
        """
        if isinstance(data, DataLoader):
            if isinstance(data.sampler, RandomSampler):
                raise ValueError(
                    "expected a DataLoader with shuffle=False, got one that shuffles; training "
                    "images are named by their place, so pass the data set itself or an ordered one"
                )
            return Batches(data, columns)
        if batch_size < 1:
            raise ValueError(f"expected a batch_size of at least 1, got {batch_size}")
        loader = DataLoader(data, batch_size)
        if isinstance(data, IterableDataset) or not isinstance(data, Sized):
            return Batches(loader, columns)
        ends = range(0, len(data) + batch_size, batch_size)
        order = [range(a, min(b, len(data))) for a, b in pairwise(ends)]
        return Batches(loader, columns, order)

    @staticmethod
    def whole(batches: Sequence[Any]) -> Batches:
        """Return batches ``(*inputs, target)`` that are there already."""
        return Batches(DataLoader(cast(Any, batches), batch_size=None), columns)

    @staticmethod
    def ensure(inputs: Any) -> Batches:
        """Return a batch ``(*inputs, target)``, a Dataset or a DataLoader as batches."""
        if isinstance(inputs, Batches):
            return inputs
        if isinstance(inputs, tuple | list):
            return Batches.whole([tuple(inputs)])
        return Batches.ordered(inputs)

    @property
    def total(self) -> int | None:
        """The number of batches, if it is known without reading."""
        if self.order is not None:
            return len(self.order)
        return _length(self.loader)

    def count(self) -> int:
        """Return the number of examples, read through if need be."""
        if self.order is not None:
            return sum(len(batch) for batch in self.order)
        known = None  # of items that are whole batches
        if isinstance(self.loader, DataLoader) and self.loader.batch_size is not None:
            known = _length(self.loader.dataset)
        return sum(len(batch) for batch in self.iterate()) if known is None else known

    def iterate(
        self, shard: Shard | None = None, first: int = 0, *, bar: str | None = None
    ) -> Iterator[Batch]:
        """Yield one process's batches.

        Args:
            shard: the process's share; None: all of them.
            first: the number of the batch to go on from.
            bar: the title of a progress bar, shown by the first process; None: none.

        Raises:
            ValueError: if there is no batch at all.
            TypeError: if the loader yields something else.
        """
        shard = shard or Shard()
        found = self._counted(first, shard)
        if self.order is not None:
            found = self._loaded(self.order, first, shard)
        if bar is not None and shard.rank == 0:
            found = _with_bar(found, self.total, first, bar)
        yield from found

    def _loaded(self, order: Order, first: int, shard: Shard) -> Iterator[Batch]:
        """Load only this process's batches, as the loader would."""
        _refuse_empty(len(order))
        starts = [0]
        for batch in order:
            starts.append(starts[-1] + len(batch))
        mine = [number for number in range(first, len(order)) if shard.owns(number)]
        loader = cast("DataLoader[Any]", self.loader)
        part: DataLoader[Any] = DataLoader(
            loader.dataset,
            batch_sampler=[list(order[number]) for number in mine],
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
        )
        for number, item in zip(mine, part, strict=True):
            yield Batch(number, starts[number], *self.split(item))

    def _counted(self, first: int, shard: Shard) -> Iterator[Batch]:
        start = 0
        for number, item in enumerate(_yielded(self.loader)):
            batch = Batch(number, start, *self.split(item))
            start += len(batch)
            if number >= first and shard.owns(number):
                yield batch


def _plain(order: Iterable[Iterable[Any]]) -> Order:
    return [[int(index) for index in batch] for batch in order]


def _length(data: Any) -> int | None:
    """Return how long a data set or a loader is; None if it can't say."""
    try:
        return len(data)
    except TypeError:
        return None


def _with_bar(
    batches: Iterator[Batch], total: int | None, first: int, title: str
) -> Iterator[Batch]:
    """Show how many batches are done; with several processes, the first one's place."""
    done = first if total is None else min(first, total)
    with tqdm(total=total, initial=done, desc=title, unit="batch") as bar:
        for batch in batches:
            yield batch
            bar.update(batch.number + 1 - bar.n)
        bar.update((total or bar.n) - bar.n)


# Loaders of images


def repeatable(loader: Iterable[Any]) -> Iterable[Any]:
    """Return a loader that can be gone through several times.

    Raises:
        TypeError: if it can be read only once.
    """
    if isinstance(loader, Iterator):
        raise TypeError(
            "expected a loader that can be gone through several times, got a "
            f"{type(loader).__name__}, which can be read only once: make it a list"
        )
    return loader


def images_of(loader: Iterable[Any], device: torch.device) -> Iterator[Tensor]:
    """Yield the images of each batch on a device, whether or not there are labels.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything else.
    """
    return (images for images, _ in maybe_labelled(loader, device))


def labelled(loader: Iterable[Any], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images and the labels (examples,) of each batch on a device.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything else.
    """
    for item in _yielded(loader):
        images, labels = _image_batch(item)
        if labels is None:
            raise TypeError(
                "expected the loader to yield (images, labels) with one class number per image, "
                f"got {type(item).__name__}: labels say which answers are right"
            )
        yield images.to(device), labels.to(device)


def maybe_labelled(
    loader: Iterable[Any], device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the images of each batch on a device, and its labels if they are class numbers.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything else.
    """
    for item in _yielded(loader):
        images, labels = _image_batch(item)
        yield images.to(device), None if labels is None else labels.to(device)


def _image_batch(item: Any) -> tuple[Tensor, Tensor | None]:
    images, labels = item, None
    if isinstance(item, tuple | list) and item:
        images, labels = item[0], item[1] if len(item) > 1 else None
    if not isinstance(images, Tensor):
        raise TypeError(
            "expected the loader to yield images (examples, ...) or (images, labels), got "
            f"{type(item).__name__}"
        )
    whole = isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point()
    return images, labels if whole else None


def _yielded(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield what a loader does; there must be something."""
    if isinstance(loader, Tensor) or not isinstance(loader, Iterable):
        raise TypeError(
            f"expected a loader that yields batches, got {type(loader).__name__}: a list of "
            "batches will do"
        )
    number = -1
    for number, item in enumerate(loader):  # noqa: B007  # counts on after the loop
        yield item
    _refuse_empty(number + 1)


def _refuse_empty(batches: int) -> None:
    if not batches:
        raise ValueError(
            "the loader is empty: expected at least one batch, got an empty data set; check what "
            "it leaves out"
        )

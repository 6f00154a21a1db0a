"""The one reader of loaders: their batches in a known order, for one process, from any one on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from captum_influence.data.bars import bar as progress_bar
from captum_influence.data.batch import Batch, PromptBatch
from captum_influence.data.identity import told
from captum_influence.data.items import ANYTHING, Accepts, Item, Split, columns, image_pair, pair
from captum_influence.data.orders import (
    Order,
    drawn,
    in_own_order,
    is_indexed,
    iterates_itself,
    length_of,
    refuse_shared_out,
    reordered,
    sampling_told,
    slices,
)
from captum_influence.data.own_order import OwnOrder
from captum_influence.data.samples import Trail, refuse_shares, sampled
from captum_influence.data.sharding import Shard
from captum_influence.data.workers import workers_watched

__all__ = [
    "Batches",
    "images_of",
    "labelled",
    "maybe_labelled",
    "numbered",
    "repeatable",
    "yielded",
]


@dataclass(frozen=True, eq=False)
class Batches:
    """The batches of a loader, numbered, so that a pass over them can be shared and resumed.

    Attributes:
        loader: a DataLoader, or any iterable of batches.
        split: tells what it yields apart.
        order: the examples of each batch, if they can be loaded by their indices; None: batches
            are counted as the loader yields them.
        accepts: what the network takes.
        expected: how many examples there must be, each once; None: not known.
    """

    loader: Iterable[Any]
    split: Split
    order: Order | None = None
    accepts: Accepts = field(default_factory=Accepts)
    expected: int | None = None

    @staticmethod
    def shared(
        loader: Iterable[Any], shard: Shard, split: Split = pair, accepts: Accepts = ANYTHING
    ) -> Batches:
        """Return a loader's batches in an order that is drawn once, for all processes.

        Args:
            loader: yields what ``split`` understands.
            shard: of this process; all get the first's order.
            split: tells what it yields apart: inputs, or (inputs, labels).
            accepts: what the network takes.

        Raises:
            ValueError: if each process's loader has a share of its own.
        """
        refuse_shared_out(loader, shard.world)
        if not is_indexed(loader):
            return Batches(loader, split, accepts=accepts)
        # The type of a loader's sampler is lost.
        order = shard.gather(drawn(getattr(loader, "batch_sampler")))[0]  # noqa: B009
        return Batches(loader, split, order, accepts)

    def taken_up(self, known: Order | None, shard: Shard) -> Batches:
        """Return the batches in the order that the checkpoints of a run remember.

        Args:
            known: the order in the checkpoint of this process; None: it has none.
            shard: of this process.

        Raises:
            ValueError: if the processes remember different orders.
        """
        if self.order is None:
            return self
        # Some of the processes may have a checkpoint and others none, if they died early.
        remembered = [drawn(other) for other in shard.gather(known) if other is not None]
        if any(other != remembered[0] for other in remembered):
            raise ValueError(
                "expected the checkpoints of one run, got some that went through the loader in "
                "another order: remove them"
            )
        return replace(self, order=remembered[0]) if remembered else self

    @staticmethod
    def ordered(
        data: Dataset[Any] | DataLoader[Any], batch_size: int = 64, accepts: Accepts = ANYTHING
    ) -> Batches:
        """Return the batches of a data set, whose examples are known by their place in it.

        A loader that shuffles or draws at random is read in the order of its data set.

        Args:
            data: a Dataset, or a DataLoader, of ``(*inputs, target)``.
            batch_size: of a Dataset.
            accepts: what the network takes.

        Raises:
            ValueError: for a loader whose examples are some of the data set's, repeated, or of no
                known order, or a batch size below one.
        """
        if isinstance(data, DataLoader):
            loader, order = in_own_order(data)
            if order is not None:  # the processes may draw different ones
                order = Shard.current().gather(drawn(order))[0]
            size = None if order is not None or data.batch_size is None else length_of(data.dataset)
            return Batches(loader, columns, order, accepts, size)
        if batch_size < 1:
            raise ValueError(f"expected a batch_size of at least 1, got {batch_size}")
        length = None if isinstance(data, IterableDataset) else length_of(data)
        order = None if length is None else slices(length, batch_size)
        return Batches(DataLoader(data, batch_size), columns, order, accepts)

    @staticmethod
    def whole(batches: Sequence[Any], accepts: Accepts = ANYTHING) -> Batches:
        """Return batches ``(*inputs, target)`` that are there already."""
        loader = DataLoader(cast(Any, batches), batch_size=None)
        return Batches(loader, columns, accepts=accepts)

    @staticmethod
    def ensure(inputs: Any, accepts: Accepts = ANYTHING) -> Batches:
        """Return a batch ``(*inputs, target)``, a Dataset or a DataLoader as batches."""
        if isinstance(inputs, Batches):
            return inputs
        if isinstance(inputs, tuple | list):
            return Batches.whole([tuple(inputs)], accepts)
        if isinstance(inputs, Mapping):
            return Batches.whole([inputs], accepts)
        return Batches.ordered(inputs, accepts=accepts)

    @property
    def total(self) -> int | None:
        """The number of batches, if it is known without reading."""
        if self.order is not None:
            return len(self.order)
        return length_of(self.loader)

    @property
    def identity(self) -> dict[str, Any]:
        """What tells the data and their order from others', as JSON; a few examples are read."""
        if self.order is None:
            return {"loader": "yields batches that can't be had by index"}
        loader = cast("DataLoader[Any]", self.loader)
        return {
            "size": length_of(loader.dataset),
            "order": sampling_told(loader, self.order),
            "collate": told(loader.collate_fn),
            "data": sampled(loader),
        }

    def count(self) -> int:
        """Return the number of examples, read through if need be."""
        if self.order is not None:
            return sum(len(batch) for batch in self.order)
        if self.expected is not None:
            return self.expected
        return sum(len(batch) for batch in self.iterate())

    def iterate(
        self,
        shard: Shard | None = None,
        first: int = 0,
        *,
        bar: str | None = None,
        trail: Trail | None = None,
    ) -> Iterator[Batch]:
        """Yield one process's batches.

        Args:
            shard: the process's share; None: all of them.
            first: the number of the batch to go on from.
            bar: the title of a progress bar, shown by the first process; None: none.
            trail: takes what is read, where batches can't be had by index.

        Raises:
            ValueError: if there is no batch at all.
            TypeError: if the loader yields something else.
        """
        shard = shard or Shard()
        found = self._counted(first, shard, trail)
        if self.order is not None:
            found = self._loaded(self.order, first, shard)
        if bar is not None and shard.rank == 0:
            found = _with_bar(found, self.total, first, bar)
        with workers_watched(self.loader):
            yield from found

    def _loaded(self, order: Order, first: int, shard: Shard) -> Iterator[Batch]:
        """Load only this process's batches, as the loader would."""
        _refuse_empty(len(order))
        starts = [0]
        for batch in order:
            starts.append(starts[-1] + len(batch))
        mine = [number for number in range(first, len(order)) if shard.owns(number)]
        loader = cast("DataLoader[Any]", self.loader)
        part = reordered(loader, [list(order[number]) for number in mine])
        for number, item in zip(mine, part, strict=True):
            yield self._batch(number, starts[number], item, order[number])

    def _counted(self, first: int, shard: Shard, trail: Trail | None) -> Iterator[Batch]:
        start = number = 0
        own = self._own_order()
        for number, item in enumerate(yielded(self.loader), start=1):
            if number == 1 and shard == Shard.current():
                refuse_shares(shard, item)
            batch = self._batch(number - 1, start, item)
            if own is not None:
                own.check(Item(batch.inputs, batch.target), start, len(batch))
            start += len(batch)
            if trail is not None:
                trail.add(number - 1, item)
            if number > first and shard.owns(number - 1):
                yield batch
        if trail is not None:
            trail.end(number)
        if own is not None:
            own.end()
        if self.expected not in (None, start):
            raise ValueError(
                f"expected a loader that goes once through its {self.expected} examples, which are "
                f"numbered by their place in the data set's order, got {start} from a "
                f"{type(self.loader).__name__}: pass the data set itself, or a Subset of it"
            )

    def _own_order(self) -> OwnOrder | None:
        """Return what compares the batches with the data set, if examples must be known by it."""
        loader = self.loader
        if self.expected is None or not isinstance(loader, DataLoader):
            return None
        if not iterates_itself(loader) or isinstance(loader.dataset, IterableDataset):
            return None
        return OwnOrder(loader, lambda item: self.split(item, self.accepts))

    def _batch(
        self, number: int, start: int, item: Any, indices: Sequence[int] | None = None
    ) -> Batch:
        found = self.split(item, self.accepts)
        return Batch(
            number=number,
            start=start,
            inputs=found.inputs,
            target=found.target,
            further=found.further,
            indices=indices,
            names=found.names,
            beside=found.beside,
            tokenizer=found.tokenizer,
        )


def _with_bar(
    batches: Iterator[Batch], total: int | None, first: int, title: str
) -> Iterator[Batch]:
    """Show how many batches are done; with several processes, the first one's place."""
    done = first if total is None else min(first, total)
    with progress_bar(title, total=total, initial=done, unit="batch") as shown:
        for batch in batches:
            yield batch
            shown.update(batch.number + 1 - shown.n)
        shown.update((total or shown.n) - shown.n)


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
    return ((images, labels) for images, labels, _ in numbered(loader, device))


def numbered(
    loader: Iterable[Any], device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the same as :func:`labelled`, with each example's place in the loader's order.

    Raises:
        ValueError: as :func:`labelled`.
        TypeError: as :func:`labelled`.
    """
    start = 0
    for item in yielded(loader):
        images, labels = image_pair(item)
        if labels is None:
            raise TypeError(
                "expected the loader to yield (images, labels) with one class number per image, "
                f"got {type(item).__name__}: labels say which answers are right"
            )
        counted = torch.arange(start, start + len(images))
        places = item.numbers if isinstance(item, PromptBatch) else counted
        yield images.to(device), labels.to(device), places
        start += len(images)


def maybe_labelled(
    loader: Iterable[Any], device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the images of each batch on a device, and its labels if they are class numbers.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything else.
    """
    for item in yielded(loader):
        images, labels = image_pair(item)
        yield images.to(device), None if labels is None else labels.to(device)


def yielded(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield what a loader does, as it is.

    Raises:
        ValueError: if there is nothing.
        TypeError: if it is no loader.
    """
    if isinstance(loader, Tensor) or not isinstance(loader, Iterable):
        raise TypeError(
            f"expected a loader that yields batches, got {type(loader).__name__}: a list of "
            "batches will do"
        )
    number = -1
    with workers_watched(loader):
        for number, item in enumerate(loader):  # noqa: B007  # counts on after the loop
            yield item
    _refuse_empty(number + 1)


def _refuse_empty(batches: int) -> None:
    if not batches:
        raise ValueError(
            "the loader is empty: expected at least one batch, got an empty data set; check what "
            "it leaves out"
        )

"""In which order a loader goes through its data set, and how to read it in another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, NoReturn

from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from captum_influence.data.identity import told

__all__ = [
    "Order",
    "drawn",
    "in_own_order",
    "is_indexed",
    "iterates_itself",
    "length_of",
    "refuse_shared_out",
    "reordered",
    "sampling_told",
    "slices",
]

Order = Sequence[Sequence[int]]
"""The examples of each batch, by their index in the data set."""


def length_of(data: Any) -> int | None:
    """Return how long a data set or a loader is; None if it can't say."""
    try:
        return len(data)
    except (TypeError, NotImplementedError):
        return None


def slices(length: int, size: int) -> Order:
    """Return the order of a data set itself, in batches of a size."""
    return [range(start, min(start + size, length)) for start in range(0, length, size)]


def iterates_itself(loader: DataLoader[Any]) -> bool:
    """Return whether what a loader yields is a subclass's own doing, not to be had by index."""
    kind = type(loader)
    own = (kind.__iter__, kind._get_iterator)
    return own != (DataLoader.__iter__, DataLoader._get_iterator)


def is_indexed(loader: object) -> bool:
    """Return whether each batch of a loader can be had by the indices of its examples."""
    return (
        isinstance(loader, DataLoader)
        and not isinstance(loader.dataset, IterableDataset)
        and not iterates_itself(loader)
        and getattr(loader, "batch_sampler", None) is not None
    )


def reordered(loader: DataLoader[Any], order: Iterable[Any], **changes: Any) -> DataLoader[Any]:
    """Return a loader that reads as another does, but these batches.

    Args:
        loader: the one whose workers, collate_fn and so on are kept.
        order: the indices of each batch, or what stands for a batch where the data set makes them.
        changes: what isn't kept.
    """
    kept = {
        "num_workers": loader.num_workers,
        "collate_fn": loader.collate_fn,
        "pin_memory": loader.pin_memory,
        "timeout": loader.timeout,
        "worker_init_fn": loader.worker_init_fn,
        "multiprocessing_context": loader.multiprocessing_context,
        "generator": loader.generator,
        "prefetch_factor": loader.prefetch_factor,
    }
    whole = getattr(loader, "batch_sampler", None) is None
    place: dict[str, Any] = (
        {"sampler": order, "batch_size": None} if whole else {"batch_sampler": order}
    )
    return DataLoader(loader.dataset, **place, **{**kept, **changes})


def drawn(batches: Iterable[Iterable[Any]]) -> Order:
    """Return the batches that a sampler draws."""
    return [[int(index) for index in batch] for batch in batches]


def refuse_shared_out(loader: object, world: int) -> None:
    """Refuse a loader that is shared out among the processes of a run, which will be once more.

    Raises:
        ValueError: if its sampler is of one process's share.
    """
    sampler = getattr(loader, "sampler", None)
    if world > 1 and isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
        raise ValueError(
            f"expected a loader of the whole data set in each of {world} processes, which share "
            "its batches out themselves, got one with a DistributedSampler: make it without"
        )


# In the order of the data set


def in_own_order(loader: DataLoader[Any]) -> tuple[DataLoader[Any], Order | None]:
    """Return a loader that goes once through its data set, and the indices of its batches.

    They are None where batches come in the order of the data set and can't be had by index. Where
    a sampler of torch's draws at random, the data set is read in its own order instead. Batches
    that a sampler of the user's own puts together are kept.

    Raises:
        ValueError: if the loader leaves examples out or repeats them, or that can't be known.
    """
    if isinstance(loader.dataset, IterableDataset):
        _refuse_mixed_streams(loader)
        return loader, None
    if iterates_itself(loader):
        _refuse_other_orders(loader)
        return loader, None
    if getattr(loader, "batch_sampler", None) is None:
        return _of_whole_batches(loader)
    order = _order(loader, getattr(loader, "batch_sampler"))  # noqa: B009  # its type is lost
    return reordered(loader, order), order


def _order(loader: DataLoader[Any], batches: Any) -> Order:
    length = _checked_length(loader)
    if type(batches) is BatchSampler:
        if not _covers(batches.sampler, length):
            _refuse_part(batches.sampler, length)
        return slices(length, batches.batch_size)
    # Batches of the user's own stay together: their examples may be of one length.
    order = drawn(islice(batches, length + 1))
    if not _is_permutation(chain.from_iterable(order), length):
        _refuse_part(batches, length)
    return order


def _of_whole_batches(loader: DataLoader[Any]) -> tuple[DataLoader[Any], Order | None]:
    """Treat a loader whose data set makes the batches, by one index or by many."""
    sampler: Any = loader.sampler
    if isinstance(sampler, SequentialSampler):
        return loader, None
    length = _checked_length(loader)
    items = list(islice(sampler, length + 1))
    if all(isinstance(item, list | tuple | Tensor) for item in items):
        order = drawn(items)
        if not _is_permutation(chain.from_iterable(order), length):
            _refuse_part(sampler, length)
        return reordered(loader, order), order
    if not _is_permutation(items, length):
        _refuse_part(sampler, length)
    return reordered(loader, range(length)), None


def _covers(sampler: Any, length: int) -> bool:
    """Return whether a sampler of single examples stands for the whole data set."""
    if isinstance(sampler, RandomSampler | SequentialSampler):
        return length_of(sampler.data_source) == length
    if isinstance(sampler, DistributedSampler):
        return length_of(sampler.dataset) == length
    if isinstance(sampler, WeightedRandomSampler):
        return len(sampler.weights) == length and bool((sampler.weights > 0).all())
    if isinstance(sampler, SubsetRandomSampler):
        return _is_permutation(sampler.indices, length)
    return _is_permutation(islice(sampler, length + 1), length)


def _is_permutation(indices: Iterable[Any], length: int) -> bool:
    return sorted(int(index) for index in islice(indices, length + 1)) == list(range(length))


def _checked_length(loader: DataLoader[Any]) -> int:
    length = length_of(loader.dataset)
    if length is None:
        raise ValueError(
            "expected a data set with a length, whose examples are numbered by their place in it, "
            f"got {type(loader.dataset).__name__}: give it __len__"
        )
    return length


def _refuse_part(sampler: object, length: int) -> NoReturn:
    raise ValueError(
        f"expected a DataLoader that goes through its {length} examples once each, got one whose "
        f"{type(sampler).__name__} leaves some out or repeats some, and examples are numbered by "
        "their place in the data set's order: pass Subset(dataset, indices) for some of them, or "
        "the data set itself, loader.dataset, for all"
    )


def _refuse_other_orders(loader: DataLoader[Any]) -> None:
    """Refuse a loader with an iteration of its own that doesn't start from the data set's order."""
    batches: Any = getattr(loader, "batch_sampler", None)
    sampler = loader.sampler if batches is None else getattr(batches, "sampler", batches)
    if not isinstance(sampler, SequentialSampler):
        raise ValueError(
            "expected a DataLoader with shuffle=False, since examples are numbered by their place "
            f"in the data set's order, got a {type(loader).__name__} with an iteration of its own "
            f"over a {type(sampler).__name__}: make it without one"
        )
    if getattr(batches, "drop_last", False):
        raise ValueError(
            f"expected a DataLoader that leaves no example out of its order, got a "
            f"{type(loader).__name__} with an iteration of its own and drop_last=True: make it "
            "with drop_last=False"
        )


def _refuse_mixed_streams(loader: DataLoader[Any]) -> None:
    """Refuse a stream that doesn't come through whole and in its own order."""
    if loader.num_workers > 1:
        raise ValueError(
            "expected a stream that one worker reads, since examples are numbered by their place "
            f"in its order, got {loader.num_workers} workers, each of which reads it or a part of "
            "it: make the DataLoader with num_workers=1"
        )
    if getattr(loader, "drop_last", False):
        raise ValueError(
            "expected a DataLoader that leaves no example of its stream out, since they are "
            "numbered by their place in its order, got drop_last=True: make it with drop_last=False"
        )


# What tells one way of going through a data set from another


def sampling_told(loader: DataLoader[Any], order: Order) -> Any:
    """Return what is the same for each run of a loader, as JSON: the order, if it is always one.

    Args:
        loader: whose batches can be had by index.
        order: that was drawn from it.
    """
    batches: Any = getattr(loader, "batch_sampler", None)
    sampler = batches.sampler if type(batches) is BatchSampler else batches
    size = [batches.batch_size, batches.drop_last] if type(batches) is BatchSampler else []
    if isinstance(sampler, SequentialSampler | Sequence):
        return [_digest(chain.from_iterable(order)), _digest(len(batch) for batch in order)]
    return [type(sampler).__name__, *size, *_random(sampler, order)]


def _random(sampler: Any, order: Order) -> list[Any]:
    """Return the settings of a sampler that draws at random."""
    if isinstance(sampler, SubsetRandomSampler):
        return [_digest(sorted(int(index) for index in sampler.indices))]
    if isinstance(sampler, RandomSampler | WeightedRandomSampler | DistributedSampler):
        skipped = {"data_source", "dataset", "generator"}
        settings = {k: v for k, v in vars(sampler).items() if k not in skipped}
        return [told(settings), length_of(getattr(sampler, "data_source", ()))]
    indices = sorted(chain.from_iterable(order))
    repeated = len(set(indices)) < len(indices)
    return [len(order), len(indices) if repeated else _digest(indices)]


def _digest(numbers: Iterable[int]) -> str:
    return hashlib.sha256(",".join(map(str, numbers)).encode()).hexdigest()

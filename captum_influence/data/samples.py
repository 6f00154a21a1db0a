"""Whether a pass goes on over the same data: a few examples of them, or the batches it has read."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from captum_influence.data.identity import UNKNOWN, told
from captum_influence.data.orders import length_of, reordered
from captum_influence.data.sharding import Shard

__all__ = ["Trail", "refuse_shares", "sampled"]

_COUNT = 4  # examples
_ENTRIES = 64  # of each tensor of a batch


def sampled(loader: DataLoader[Any]) -> dict[str, Any]:
    """Return digests of a few examples that are spread over a data set, by their place in it.

    What differs when it is read again, as pictures that are cropped at random, and what can't be
    read, is :data:`UNKNOWN`. They are read as the loader does, by its workers if it has any: a data
    set may open its files in the process that reads first.
    """
    length = length_of(loader.dataset) or 0
    places = sorted({(length - 1) * i // (_COUNT - 1) for i in range(_COUNT)}) if length else []
    twice = reordered(
        loader,
        [[place] for place in (*places, *places)],
        num_workers=min(loader.num_workers, 1),
        generator=torch.Generator().manual_seed(0),  # the global one stays as it is
    )
    with _same_draws():
        found = list(_read(twice))
    first, again = found[: len(places)], found[len(places) :]
    return {str(place): _agreed(a, b) for place, a, b in zip(places, first, again, strict=True)}


def _read(loader: DataLoader[Any]) -> Iterator[Any]:
    batches = iter(loader)
    for _ in range(len(loader)):  # a worker that has died raises each time
        try:
            yield [told(leaf) for leaf in _leaves(next(batches))]
        except Exception:  # of any type: a picture may be broken, and another may not
            yield UNKNOWN


def _agreed(first: Any, again: Any) -> Any:
    if not isinstance(first, list) or not isinstance(again, list) or len(first) != len(again):
        return UNKNOWN
    return [a if a == b else UNKNOWN for a, b in zip(first, again, strict=True)]


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the parts of an example or a batch."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


@contextmanager
def _same_draws() -> Iterator[None]:
    """Put the random states back that a data set draws from in this process."""
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002  # others use it
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002


class Trail:
    """What a pass has read of a loader whose batches can't be had by index, as one digest.

    Args:
        known: the digest of an earlier pass; empty: none.
        after: how many batches that had read; None: all.
    """

    def __init__(self, known: str = "", after: int | None = 0) -> None:
        self.digest = ""
        self._known, self._after = known, after

    def add(self, number: int, item: Any) -> None:
        """Take the batch of this number.

        Raises:
            ValueError: if the batches so far are others than in the earlier pass.
        """
        parts = json.dumps([self.digest, [_brief(leaf) for leaf in _leaves(item)]])
        self.digest = hashlib.sha256(parts.encode()).hexdigest()
        if self._known and number + 1 == self._after and self.digest != self._known:
            self._refuse(f"other batches than the {self._after} that it had read")

    def end(self, batches: int) -> None:
        """Say that the loader has no more.

        Raises:
            ValueError: if it has fewer batches than were read in the earlier pass, or others.
        """
        if not self._known:
            return
        if self._after is None and self.digest != self._known:
            self._refuse(f"other batches than those that it had read, {batches} of them")
        if self._after is not None and batches < self._after:
            self._refuse(f"{batches} batches, fewer than the {self._after} that it had read")

    def _refuse(self, came: str) -> None:
        raise ValueError(
            "expected a checkpoint of this question, but it belongs to another question: data "
            f"differ, since the loader yields {came}; a loader that is read in a new order each "
            "time can't be taken up: give one that keeps its order, remove the file, or name "
            "another"
        )


def refuse_shares(shard: Shard, item: Any) -> None:
    """Refuse loaders that yield something else in each process, as shares of a stream do.

    Args:
        shard: of this process; all of them must come here.
        item: the first batch.

    Raises:
        ValueError: if the processes have different ones.
    """
    found = shard.gather(json.dumps([_brief(leaf) for leaf in _leaves(item)]))
    if len(set(found)) > 1:
        raise ValueError(
            f"expected the same batches in each of {shard.world} processes, which share them out "
            "themselves, got others from process to process: make the loader without a share of "
            "its own, and with the same seed everywhere"
        )


def _brief(leaf: Any) -> Any:
    """Tell a leaf of a batch by its form and entries that are spread over it."""
    if not isinstance(leaf, Tensor):
        return told(leaf)
    flat = leaf.detach().flatten()
    step = max(1, len(flat) // _ENTRIES)
    return [list(leaf.shape), told(flat[::step])]

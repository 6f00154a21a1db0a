"""What is kept of the scores as training batches stream by: all of them, or the best k."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_influence.data.resume import Resume
from captum_influence.data.samples import Trail
from captum_influence.data.sharding import Shard
from captum_influence.network.captum_private import KMostInfluentialResults
from captum_influence.training.scoring import RawScores

__all__ = [
    "AllScores",
    "Collector",
    "KMostInfluentialResults",
    "Kept",
    "Reader",
    "Sink",
    "TopScores",
    "identity_of",
    "kept",
    "restore",
]

_END = 2**62  # the next batch of a finished pass: beyond any


class Collector(ABC):
    """Takes a batch of scores at a time; ``state`` is all it knows."""

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    @abstractmethod
    def add(self, places: Tensor, scores: Tensor) -> None:
        """Take scores (queries, batch) of the examples with these places in the data set."""

    @abstractmethod
    def result(self, shard: Shard) -> Any:
        """Return what was kept, from all processes."""


class AllScores(Collector):
    """Keeps every score; the result is (queries, examples), in the order of the data set."""

    def add(self, places: Tensor, scores: Tensor) -> None:
        first = int(places[0])
        self.state[f"scores/{first}"], self.state[f"places/{first}"] = scores, places

    def result(self, shard: Shard) -> Tensor:
        pieces: dict[str, Tensor] = {}
        for part in shard.gather(self.state):
            pieces |= part
        batches = sorted((key for key in pieces if key.startswith("scores/")), key=_first_place)
        scores = torch.cat([pieces[key] for key in batches], -1)
        places = torch.cat([pieces[key.replace("scores", "places")].cpu() for key in batches])
        if bool((places.diff() > 0).all()):
            return scores
        return scores[..., places.argsort().to(scores.device)]


def _first_place(key: str) -> int:
    return int(key.partition("/")[2])


class TopScores(Collector):
    """Keeps each query's k highest or lowest scores, in a memory of k numbers.

    The result is Captum's named tuple: indices and scores, both (queries, k).

    Args:
        k: how many.
        proponents: the highest if true, else the lowest.

    Raises:
        ValueError: if k isn't a positive number.
    """

    def __init__(self, k: int, *, proponents: bool) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"expected k to be a positive int or None, got {k!r}")
        super().__init__()
        self.k, self.proponents = k, proponents

    def add(self, places: Tensor, scores: Tensor) -> None:
        index = places.to(scores.device)
        self._merge({"scores": scores, "indices": index.expand(len(scores), -1)})

    def _merge(self, other: Mapping[str, Tensor]) -> None:
        scores, indices = other["scores"], other["indices"]
        if self.state:
            scores = torch.cat([self.state["scores"], scores], 1)
            indices = torch.cat([self.state["indices"], indices], 1)
        best = scores.topk(min(self.k, scores.shape[1]), 1, largest=self.proponents)
        self.state = {"scores": best.values, "indices": indices.gather(1, best.indices)}

    def result(self, shard: Shard) -> KMostInfluentialResults:
        parts, self.state = shard.gather(self.state), {}
        for part in parts:
            if part:
                self._merge(part)
        return KMostInfluentialResults(self.state["indices"], self.state["scores"])


@dataclass(frozen=True, eq=False)
class Sink:
    """A collector and what it reads from a batch's scores."""

    collector: Collector
    read: Reader

    @property
    def needs_self(self) -> bool:
        """Whether self-influences must be computed."""
        return self.read.kind != "raw"


@dataclass(frozen=True)
class Reader:
    """One layer's (or, with None, all layers') raw, normalised or self scores."""

    layer: str | None
    kind: str

    @staticmethod
    def raw(layer: str | None) -> Reader:
        """Read raw scores."""
        return Reader(layer, "raw")

    @staticmethod
    def normalized(layer: str | None) -> Reader:
        """Read scores over the square root of the training example's self-influence."""
        return Reader(layer, "normalized")

    @staticmethod
    def own(layer: str | None) -> Reader:
        """Read self-influences."""
        return Reader(layer, "own")

    def __call__(self, scores: RawScores) -> Tensor:
        """Return what is read of a batch."""
        if self.kind == "own":
            return scores.self_of(self.layer)
        return scores.of(self.layer, normalized=self.kind == "normalized")


@dataclass(frozen=True, eq=False)
class Kept:
    """What a pass has so far.

    Attributes:
        next: the number of the next batch.
        states: each collector's.
        trail: a digest of the batches so far, where they can't be had by index.
    """

    next: int
    states: tuple[Mapping[str, Tensor], ...]
    trail: str = ""

    @property
    def seen(self) -> Trail:
        """What the rest of the pass has to follow."""
        return Trail(self.trail, None if self.next == _END else self.next)


def kept(sinks: Sequence[Sink], following: int | None, trail: str = "") -> Kept:
    """Return what a pass has before the batch of a number; None: it is at its end."""
    number = _END if following is None else following
    return Kept(number, tuple(sink.collector.state for sink in sinks), trail)


def restore(sinks: Sequence[Sink], resume: Resume[Kept], device: torch.device) -> Kept:
    """Give the collectors back what a killed run had, and return it.

    Raises:
        ValueError: if that belongs to another question.
    """
    before = resume.read()
    if before is None:
        return Kept(0, ())
    for sink, state in zip(sinks, before.states, strict=True):
        sink.collector.state = {name: value.to(device) for name, value in state.items()}
    return before


def identity_of(sinks: Sequence[Sink]) -> dict[str, str]:
    """Return what is kept of the scores: partial results of something else don't serve."""
    return {"kept": repr([(*_described(sink.collector), sink.read) for sink in sinks])}


def _described(collector: Collector) -> tuple[Any, ...]:
    settings = {name: value for name, value in vars(collector).items() if name != "state"}
    return (type(collector).__name__, settings)

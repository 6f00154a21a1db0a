"""What is kept of the scores as training batches stream by: all of them, or the best k."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_influence.data.sharding import Shard
from captum_influence.data.streams import END, ResumeFile
from captum_influence.network.captum_private import KMostInfluentialResults
from captum_influence.training.checkpoints import fingerprint
from captum_influence.training.scoring import LayerScores

__all__ = [
    "AllScores",
    "Collector",
    "KMostInfluentialResults",
    "Reader",
    "Sink",
    "TopScores",
    "identity_of",
    "progress",
    "restore",
]


class Collector(ABC):
    """Takes a batch of scores at a time; `state` is all it knows."""

    def __init__(self) -> None:
        """Start empty."""
        self.state: dict[str, Tensor] = {}

    @abstractmethod
    def add(self, start: int, scores: Tensor) -> None:
        """Take scores (queries, batch) of the examples from `start` on."""

    @abstractmethod
    def result(self, shard: Shard) -> Any:
        """What was kept, from all processes."""


class AllScores(Collector):
    """Keeps every score."""

    def add(self, start: int, scores: Tensor) -> None:
        """Take a batch."""
        self.state[str(start)] = scores

    def result(self, shard: Shard) -> Tensor:
        """The scores, (queries, examples)."""
        pieces: dict[str, Tensor] = {}
        for part in shard.gather(self.state):
            pieces |= part
        return torch.cat([pieces[key] for key in sorted(pieces, key=int)], -1)


class TopScores(Collector):
    """Keeps each query's k highest or lowest scores, in a memory of k numbers.

    Args:
        k: how many.
        proponents: the highest if true, else the lowest.
    """

    def __init__(self, k: int, *, proponents: bool) -> None:
        """Check k."""
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"expected k to be a positive int or None, got {k!r}")
        super().__init__()
        self.k, self.proponents = k, proponents

    def add(self, start: int, scores: Tensor) -> None:
        """Take a batch."""
        index = torch.arange(start, start + scores.shape[1], device=scores.device)
        self._merge({"scores": scores, "indices": index.expand(len(scores), -1)})

    def _merge(self, other: Mapping[str, Tensor]) -> None:
        scores, indices = other["scores"], other["indices"]
        if self.state:
            scores = torch.cat([self.state["scores"], scores], 1)
            indices = torch.cat([self.state["indices"], indices], 1)
        best = scores.topk(min(self.k, scores.shape[1]), 1, largest=self.proponents)
        self.state = {"scores": best.values, "indices": indices.gather(1, best.indices)}

    def result(self, shard: Shard) -> KMostInfluentialResults:
        """Captum's named tuple: indices and scores, both (queries, k)."""
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
    """One layer's (or, `None`, all layers') raw, normalised or self scores."""

    layer: str | None
    kind: str

    @staticmethod
    def raw(layer: str | None) -> Reader:
        """Raw scores."""
        return Reader(layer, "raw")

    @staticmethod
    def normalized(layer: str | None) -> Reader:
        """Scores over the square root of the training example's self-influence."""
        return Reader(layer, "normalized")

    @staticmethod
    def own(layer: str | None) -> Reader:
        """Self-influences."""
        return Reader(layer, "own")

    def __call__(self, scores: LayerScores) -> Tensor:
        """Read a batch."""
        if self.kind == "own":
            return scores.self_of(self.layer)
        return scores.of(self.layer, normalized=self.kind == "normalized")


def restore(sinks: Sequence[Sink], file: ResumeFile) -> int:
    """Give the collectors back what a killed run had; the number of the next batch."""
    state = file.read()
    for sink, saved in zip(sinks, state.get("kept", []), strict=False):
        sink.collector.state = dict(saved)
    begin: int = state.get("next", 0)
    return begin


def progress(sinks: Sequence[Sink], position: int | None) -> dict[str, Any]:
    """What a resume file needs; `None` when all batches are done."""
    return {
        "next": END if position is None else position,
        "kept": [sink.collector.state for sink in sinks],
    }


def identity_of(
    sinks: Sequence[Sink], queries: Sequence[Tensor], damping: float | None
) -> dict[str, str]:
    """What partial results belong to: the queries, and what is kept of their scores."""
    kept = [(type(s.collector).__name__, getattr(s.collector, "k", None), s.read) for s in sinks]
    size = f"{fingerprint(queries):.5g}"
    return {"queries": size, "kept": repr(kept), "damping": repr(damping)}

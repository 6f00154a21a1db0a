"""InfluenceIndex: scores of new queries from what one pass over the training data has kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from captum_influence.data.batches import Batches
from captum_influence.data.sharding import Shard
from captum_influence.network.captum_private import KMostInfluentialResults
from captum_influence.training.collectors import AllScores, Collector, Reader, Sink, TopScores
from captum_influence.training.index.building import Building
from captum_influence.training.index.entries import Entries
from captum_influence.training.index.shards import IndexFolder, IndexPlan
from captum_influence.training.streaming import ScoreStream

__all__ = ["InfluenceIndex"]

_EXACT_ROWS = 64  # training examples that are scored exactly at once


@dataclass(frozen=True, eq=False)
class InfluenceIndex:
    """Every training example's preconditioned gradients, on the disk, for queries to come.

    A score is the product of two halves, ((H + δI)^(-1/2) ∇L(q))ᵀ ((H + δI)^(-1/2) ∇L(t)); that of
    t is kept, along the steepest directions of each layer's curvature. A query needs its own
    gradients and one product per layer. It holds one shard at a time: 16 batches of entries, beside
    the queries' own entries and the answer. ``LayerInfluence.index`` makes it.

    Attributes:
        examples: how many training examples it has.
        sizes: how many numbers it keeps of each, layer by layer.
        path: its folder.
    """

    examples: int
    sizes: dict[str, int]
    path: Path
    _stream: ScoreStream
    _folder: IndexFolder
    _plan: IndexPlan
    _entries: Entries

    @staticmethod
    def built(
        stream: ScoreStream,
        path: str | Path,
        *,
        dimension: int | None,
        dtype: torch.dtype,
        show_progress: bool = False,
    ) -> InfluenceIndex:
        """Return the index in a folder, after building what isn't there yet.

        Args:
            stream: the training data, and their curvature.
            path: the folder.
            dimension: how many numbers to keep per example, layer and checkpoint; None: all.
            dtype: of these: ``torch.float16``, ``float32`` or ``float64``.
            show_progress: show bars.

        Raises:
            ValueError: if an option is out of range, the curvature has no eigenbasis, or the folder
                has an index of another question or a damaged file.
        """
        if dimension is not None and dimension < 1:
            raise ValueError(f"expected dimension to be None or at least 1, got {dimension}")
        if dtype not in (torch.float16, torch.float32, torch.float64):
            raise ValueError(f"expected dtype to be torch.float16, float32 or float64, got {dtype}")
        folder = IndexFolder(Path(path), _identity(stream, dimension, dtype))
        plan, entries = Building(stream, folder, dimension, dtype, show_progress).run()
        return InfluenceIndex(
            examples=plan.examples,
            sizes=entries.sizes,
            path=folder.path,
            _stream=stream,
            _folder=folder,
            _plan=plan,
            _entries=entries,
        )

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in the model's order."""
        return list(self.sizes)

    def scores(self, inputs: Any, *, layer: str | None = None) -> Tensor:
        """Return the influence of every training example on every query, (queries, examples).

        Args:
            inputs: a batch ``(*inputs, target)`` or a DataLoader of batches.
            layer: one of :attr:`layers`; None: all layers' sum.

        Raises:
            ValueError: if the model was trained on, or a file is damaged.
        """
        found: Tensor = self._collected(AllScores(), inputs, layer)
        return found

    def top(
        self,
        inputs: Any,
        k: int,
        *,
        layer: str | None = None,
        proponents: bool = True,
        rerank: int | None = None,
    ) -> KMostInfluentialResults:
        """Return the k most influential training examples of each query, (queries, k) each.

        Args:
            inputs: as in :meth:`scores`.
            k: how many.
            layer: as in :meth:`scores`.
            proponents: the highest scores if true, else the lowest.
            rerank: how many candidates per query to score again, exactly: those of all queries are
                read from the training data. None: the index's own scores are the answer.

        Raises:
            ValueError: if rerank is below k, examples can't be had by index, or as in
                :meth:`scores`.
        """
        if rerank is None:
            best: KMostInfluentialResults = self._collected(
                TopScores(k, proponents=proponents), inputs, layer
            )
            return best
        if rerank < k:
            raise ValueError(f"expected rerank to be None or at least k = {k}, got {rerank}")
        candidates = self.top(inputs, rerank, layer=layer, proponents=proponents).indices
        places = candidates.unique().cpu()
        exact = self._exact(places, inputs, layer)
        found = exact.topk(min(k, len(places)), 1, largest=proponents)
        return KMostInfluentialResults(places.to(exact.device)[found.indices], found.values)

    def _exact(self, places: Tensor, inputs: Any, layer: str | None) -> Tensor:
        """Return the exact scores of some training examples, in the order of the data set."""
        train = self._stream.train
        if train.order is None:
            raise ValueError(
                "expected training examples that can be had by index, to score the candidates "
                "again, got a loader with an iteration of its own; pass rerank=None"
            )
        some = replace(train, order=[part.tolist() for part in torch.split(places, _EXACT_ROWS)])
        sink = Sink(AllScores(), Reader.raw(layer))
        found: Tensor = self._stream.run(some, [sink], inputs)[0]
        return found

    def _collected(self, collector: Collector, inputs: Any, layer: str | None) -> Any:
        """Return what a collector makes of the scores, shard by shard, from all processes."""
        self._check(layer)
        layers = self.layers if layer is None else [layer]
        queries, shard = self._queries(inputs, layers), Shard.current()
        for number, name in enumerate(self._plan.shards):
            if not shard.owns(number):
                continue
            short = self._folder.read(self._plan.build, name)
            parts = (short.product(queries[one], one) for one in layers)
            collector.add(short.places, sum(parts, start=torch.zeros(())))
        return collector.result(shard)

    def _queries(self, inputs: Any, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the queries' entries: layer -> (queries, size)."""
        with self._stream.fit.recording(None) as recorder:
            parts = [
                self._entries.read(recorder, batch, self._stream.test_loss, weighted=True)
                for batch in self._batches(inputs)
            ]
        return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}

    def _batches(self, inputs: Any) -> Iterator[Any]:
        device = self._stream.fit.device
        for batch in Batches.ensure(inputs, self._stream.accepts).iterate():
            yield batch.to(device)

    def _check(self, layer: str | None) -> None:
        if layer is not None and layer not in self.sizes:
            raise ValueError(f"expected layer to be None or one of {self.layers}, got {layer!r}")
        if self._stream.fit.identity["weights"] != self._folder.identity["weights"]:
            raise ValueError(
                f"expected the network that the index in {self.path} was built with, but its "
                "weights have changed since; load them again, or build another index in another "
                "folder"
            )


def _identity(stream: ScoreStream, dimension: int | None, dtype: torch.dtype) -> dict[str, Any]:
    """Return what tells an index from another, as JSON."""
    return {
        **stream.fit.identity,
        "damping": repr(stream.damping),
        "dimension": dimension,
        "dtype": str(dtype),
        "curvature of": stream.fit.source.identity,
        "training data": stream.train.identity,
    }

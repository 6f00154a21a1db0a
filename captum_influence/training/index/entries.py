"""A batch's gradients as an index keeps them, at every checkpoint, and their short form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.data.batch import Batch
from captum_influence.training.index.coordinates import Coordinates
from captum_influence.training.losses import ExampleLoss
from captum_influence.training.scoring import Group, records_of
from captum_influence.training.streaming import ScoreStream
from captum_influence.training.whole import LayerRecorder

__all__ = ["Entries", "Short"]


@dataclass(frozen=True, eq=False)
class Entries:
    """Preconditioned gradients along the directions that an index keeps.

    Attributes:
        stream: knows the model and its curvature at the checkpoints.
        checkpoints: of each, every layer's block and its coordinates.
    """

    stream: ScoreStream
    checkpoints: tuple[tuple[tuple[Group, Coordinates], ...], ...]

    @staticmethod
    def of(stream: ScoreStream, dimension: int | None) -> Entries:
        """Return those of a fitted curvature.

        Raises:
            ValueError: if a block has no eigenbasis to choose from.
        """
        return Entries(
            stream,
            tuple(
                tuple((group, Coordinates.of(group, dimension)) for group in groups)
                for groups in stream.groups()
            ),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers an example has in each layer, at all checkpoints together."""
        found: dict[str, int] = {}
        for pairs in self.checkpoints:
            for group, coordinates in pairs:
                name = group.layers[0].name
                found[name] = found.get(name, 0) + coordinates.size
        return found

    def read(
        self, recorder: LayerRecorder, batch: Batch, loss: ExampleLoss, *, weighted: bool = False
    ) -> dict[str, Tensor]:
        """Return the entries of a batch: layer -> (batch, size).

        Args:
            recorder: of the layers.
            batch: training or test examples.
            loss: what is differentiated.
            weighted: times each checkpoint's factor, as one side of a product has to be.
        """
        found: dict[str, list[Tensor]] = {}
        for weights, pairs in zip(self.stream.fit.weights, self.checkpoints, strict=True):
            weights.into(self.stream.fit.model)
            records = records_of(recorder, batch, loss)
            factor = self.stream.scale(weights) if weighted else 1.0
            for group, coordinates in pairs:
                name = group.layers[0].name
                parts = [coordinates.read(chunk[name]) for chunk in group.chunks(records)]
                found.setdefault(name, []).append(factor * torch.cat(parts).detach())
        return {name: torch.cat(parts, 1) for name, parts in found.items()}


@dataclass(frozen=True, eq=False)
class Short:
    """Entries in few bytes: each row over its largest number, which half precision can't lose.

    Attributes:
        places: of the examples in the data set, (examples,).
        rows: layer -> (examples, size), between -1 and 1.
        scales: layer -> (examples,).
    """

    places: Tensor
    rows: Mapping[str, Tensor]
    scales: Mapping[str, Tensor]

    @staticmethod
    def of(places: Tensor, entries: Mapping[str, Tensor], dtype: torch.dtype) -> Short:
        """Return a batch's entries in a precision."""
        rows, scales = {}, {}
        for name, entry in entries.items():
            largest = entry.abs().amax(1).clamp(min=torch.finfo(entry.dtype).tiny)
            rows[name] = (entry / largest.unsqueeze(1)).to(dtype).cpu()
            wide = torch.float64 if dtype == torch.float64 else torch.float32
            scales[name] = largest.to(wide).cpu()
        return Short(places.cpu(), rows, scales)

    @staticmethod
    def joined(parts: list[Short]) -> Short:
        """Return several batches as one."""
        first = parts[0]
        return Short(
            torch.cat([part.places for part in parts]),
            {name: torch.cat([part.rows[name] for part in parts]) for name in first.rows},
            {name: torch.cat([part.scales[name] for part in parts]) for name in first.scales},
        )

    def product(self, queries: Tensor, layer: str) -> Tensor:
        """Return the scores of queries (queries, size) in a layer, (queries, examples)."""
        return queries @ self.rows[layer].to(queries).mT * self.scales[layer].to(queries)

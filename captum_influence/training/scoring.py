"""Turns a batch into raw scores and self-influences per layer, for one set of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from captum_influence.data.batch import Batch
from captum_influence.network.recording import Record
from captum_influence.training.curvature import Block
from captum_influence.training.gradients import LayerGradient
from captum_influence.training.losses import ExampleLoss
from captum_influence.training.whole import LayerRecorder

__all__ = ["Group", "RawScores", "Scorer", "records_of"]


@dataclass(frozen=True, eq=False)
class RawScores:
    """Raw scores, layer -> (queries, examples), and self-influences, layer -> (examples,).

    Example:
        >>> scores = RawScores({"a": torch.ones(2, 3)}, {"a": torch.full((3,), 4.0)})
        >>> scores.of(None, normalized=True)[0]  # all layers together, over √self-influence
        tensor([0.5000, 0.5000, 0.5000])
    """

    scores: Mapping[str, Tensor]
    self_influence: Mapping[str, Tensor]

    def __add__(self, other: RawScores) -> RawScores:
        """Return the sum over checkpoints."""
        return RawScores(
            {n: s + other.scores[n] for n, s in self.scores.items()},
            {n: s + other.self_influence[n] for n, s in self.self_influence.items()},
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers."""
        return tuple(self.scores)

    def of(self, layer: str | None, *, normalized: bool) -> Tensor:
        """Return one layer's scores, or with None all layers' sum; over √self-influence if asked.

        Args:
            layer: its name, or None.
            normalized: divide by the root of each training example's influence on itself.
        """
        raw = self.scores[layer] if layer is not None else _sum_of(self.scores)
        if not normalized:
            return raw
        own = self.self_of(layer)
        # An example without a gradient has score 0 and self-influence 0: 0 / tiny is 0, 0 / 0 NaN.
        return raw / own.clamp(min=torch.finfo(own.dtype).tiny).sqrt()

    def self_of(self, layer: str | None) -> Tensor:
        """Return one layer's self-influences, or with None all layers' sum."""
        return self.self_influence[layer] if layer is not None else _sum_of(self.self_influence)

    def strength(self, layer: str | None) -> Tensor:
        """Return the sum of absolute raw scores over the training examples, (queries,)."""
        return self.of(layer, normalized=False).abs().sum(1)

    def rows(self, queries: slice) -> RawScores:
        """Return the scores of some of the queries."""
        return RawScores({n: s[queries] for n, s in self.scores.items()}, self.self_influence)


def _sum_of(parts: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum(0)


@dataclass(frozen=True, eq=False)
class Group:
    """Layers that share a block, and the block."""

    layers: tuple[LayerGradient, ...]
    block: Block

    def flat(self, records: Mapping[str, Record]) -> Tensor:
        """Return the group's gradients, (batch, parameters)."""
        return torch.cat([layer.flat(records[layer.name]) for layer in self.layers], 1)

    def chunks(self, records: Mapping[str, Record]) -> list[dict[str, Record]]:
        """Return the records, cut so that the gradients of a piece fit."""
        rows = min(layer.rows(records[layer.name]) for layer in self.layers)
        cut = {layer.name: list(records[layer.name].split(rows)) for layer in self.layers}
        return [dict(zip(cut, pieces, strict=True)) for pieces in zip(*cut.values(), strict=True)]

    def per_layer(self, flat: Tensor) -> dict[str, Tensor]:
        """Return the columns of each layer."""
        parts = torch.split(flat, [layer.size for layer in self.layers], 1)
        return {layer.name: part for layer, part in zip(self.layers, parts, strict=True)}


@dataclass(eq=False)
class Scorer:
    """Scores at one set of weights: score_l(q, t) = weight · (H⁻¹ g_q)_l · (g_t)_l.

    Attributes:
        groups: the layers and their inverse curvature.
        weight: the factor of all scores.
        loss: the training loss.
    """

    groups: Sequence[Group]
    weight: float
    loss: ExampleLoss
    queries: list[Tensor] = field(default_factory=list)  # per group: (queries, parameters)

    def add_queries(self, recorder: LayerRecorder, batch: Batch, loss: ExampleLoss) -> None:
        """Take a batch of test examples, differentiated through ``loss``, and precondition them."""
        records = records_of(recorder, batch, loss)
        for i, group in enumerate(self.groups):
            parts = [group.block.solve(group.flat(r)) for r in group.chunks(records)]
            found = self.weight * torch.cat(parts)
            if i < len(self.queries):
                self.queries[i] = torch.cat([self.queries[i], found])
            else:
                self.queries.append(found)

    def score(self, recorder: LayerRecorder, batch: Batch, *, with_self: bool) -> RawScores:
        """Return the scores of a training batch, and its self-influences if asked."""
        records = records_of(recorder, batch, self.loss)
        scores: dict[str, list[Tensor]] = {}
        own: dict[str, list[Tensor]] = {}
        for i, group in enumerate(self.groups):
            queries = group.per_layer(self.queries[i]) if self.queries else {}
            for chunk in group.chunks(records):
                gradients = group.flat(chunk)
                for name, part in group.per_layer(gradients).items():
                    if queries:
                        scores.setdefault(name, []).append(queries[name] @ part.mT)
                if with_self:
                    solved = group.per_layer(group.block.own(gradients, chunk))
                    for name, part in solved.items():
                        own.setdefault(name, []).append(self.weight * part.sum(1))
        return RawScores(_joined(scores), _joined(own))


def _joined(parts: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat(list(pieces), -1) for name, pieces in parts.items()}


def records_of(recorder: LayerRecorder, batch: Batch, loss: ExampleLoss) -> dict[str, Record]:
    """Return what the layers saw in a batch, differentiated through a loss."""
    output = recorder.run(batch)
    vectors = loss.gradient(output, batch.target)
    return recorder.pull_back(output, vectors, last=True)

"""Fills curvature estimators from a data set: one run per stage, all layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.data.batch import Batch
from captum_influence.data.batches import Batches
from captum_influence.data.resume import Resume
from captum_influence.data.samples import Trail
from captum_influence.data.sharding import Shard
from captum_influence.data.workers import workers_watched
from captum_influence.training.curvature import Estimator
from captum_influence.training.losses import ExampleLoss, Fisher
from captum_influence.training.whole import LayerRecorder

__all__ = ["CurvatureFit", "FitState"]


@dataclass(frozen=True, eq=False)
class FitState:
    """How far an estimation has come.

    Attributes:
        stage: the present one.
        next: the number of its next batch.
        count: how many examples it has seen.
        sums: each estimator's.
        trail: a digest of the stage's batches so far, where they can't be had by index.
    """

    stage: int
    next: int
    count: int
    sums: tuple[Mapping[str, Tensor], ...]
    trail: str = ""


@dataclass(frozen=True, eq=False)
class CurvatureFit:
    """One estimation of the curvature at the model's present weights.

    Attributes:
        recorder: the model and its layers, already entered.
        loss: the training loss.
        fisher: which vectors stand for the loss's own curvature.
        source: the data.
        seed: of the sampled vectors; each batch has a generator of its own, so that neither
            sharding nor resuming changes a draw.
        device: where the model lives.
    """

    recorder: LayerRecorder
    loss: ExampleLoss
    fisher: Fisher
    source: Batches
    seed: int
    device: torch.device

    def run(
        self, estimators: Sequence[Estimator], resume: Resume[FitState], *, show_progress: bool
    ) -> None:
        """Run all stages; ``estimators`` hold the result."""
        before = resume.read() or FitState(0, 0, 0, ())
        for estimator, sums in zip(estimators, before.sums, strict=False):
            estimator.sums = {name: value.to(self.device) for name, value in sums.items()}
        for stage in range(before.stage, max(e.stages for e in estimators)):
            self._stage(before, estimators, resume, show_progress)
            before = FitState(stage + 1, 0, 0, ())

    def _stage(
        self,
        begin: FitState,
        estimators: Sequence[Estimator],
        resume: Resume[FitState],
        show_progress: bool,
    ) -> None:
        stage, count = begin.stage, begin.count
        active = [e for e in estimators if stage < e.stages]
        bar = f"curvature, stage {stage + 1}" if show_progress else None
        trail = None if resume.path is None else Trail(begin.trail, begin.next)
        with workers_watched(self.source.loader):
            for batch in self.source.iterate(resume.shard, begin.next, bar=bar, trail=trail):
                self._add(stage, active, batch.to(self.device))
                count += len(batch)
                if resume.is_due(batch.number):
                    seen = "" if trail is None else trail.digest
                    resume.write(_state(stage, batch.number + 1, count, estimators, seen))
        total = _combine(stage, active, count, resume.shard)
        for estimator in active:
            estimator.finish(stage, total)
        resume.write(_state(stage + 1, 0, 0, estimators))

    def _add(self, stage: int, estimators: Sequence[Estimator], batch: Batch) -> None:
        output = self.recorder.run(batch)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + batch.number)
        plain = output.detach()
        vectors = list(self.fisher.vectors(self.loss, plain, batch.target, generator))
        for i, vector in enumerate(vectors):
            records = self.recorder.pull_back(output, vector, last=i + 1 == len(vectors))
            for estimator in estimators:
                estimator.add(stage, records, first=i == 0)


def _state(
    stage: int, following: int, count: int, estimators: Sequence[Estimator], trail: str = ""
) -> FitState:
    sums = tuple(estimator.sums for estimator in estimators)
    return FitState(stage, following, count, sums, trail)


def _combine(stage: int, estimators: Sequence[Estimator], count: int, shard: Shard) -> int:
    """Add the processes' sums up, in place; return the total number of examples."""
    if shard.world == 1:
        return count
    shapes = [{k: v.shape for k, v in e.sums.items()} for e in estimators]
    # A process without a batch of its own knows no shapes: those of the one that knows most count.
    known = max(shard.gather(shapes), key=lambda found: sum(len(s) for s in found))
    for estimator, wanted in zip(estimators, known, strict=True):
        for key in (k for k in wanted if estimator.is_open(stage, k)):
            mine = estimator.sums.get(key, torch.zeros(wanted[key], dtype=torch.float64))
            estimator.sums[key] = shard.sum(mine.to(estimator.layers[0].device))
    return int(shard.sum(torch.tensor(count, device=estimators[0].layers[0].device)))

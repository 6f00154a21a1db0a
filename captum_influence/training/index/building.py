"""Builds an index: one pass over the training data, shared among processes, taken up again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

import torch

from captum_influence.data.sharding import Shard
from captum_influence.training.fitted import FittedCurvature
from captum_influence.training.index.entries import Entries, Short
from captum_influence.training.index.shards import IndexFolder, IndexPlan, Reached
from captum_influence.training.streaming import ScoreStream

__all__ = ["Building"]

_BATCHES = 16  # in a shard


@dataclass(frozen=True, eq=False)
class Building:
    """One build of an index.

    Attributes:
        stream: the training data, and their curvature.
        folder: where the index is, or will be.
        dimension: how many numbers to keep per example, layer and checkpoint; None: all.
        dtype: of these.
        show_progress: show a bar.
    """

    stream: ScoreStream
    folder: IndexFolder
    dimension: int | None
    dtype: torch.dtype
    show_progress: bool

    def run(self) -> tuple[IndexPlan, Entries]:
        """Return what the index consists of, after building what isn't there yet.

        Raises:
            ValueError: if the folder has an index of another question, or a damaged file.
        """
        shard = Shard.current()
        known = self.folder.plan()
        has_curvature = known is not None and self.folder.curvature.exists()
        # Nobody writes before all have looked; all build what the first one says.
        plan = shard.gather(known or IndexPlan(uuid.uuid4().hex))[0]
        if known is None:
            self.folder.write_plan(plan)
        _fit(self.stream.fit, self.folder, has_curvature, self.show_progress)
        entries = Entries.of(self.stream, self.dimension)
        if all(shard.gather(self.folder.is_whole(plan))):
            return plan, entries
        parts = shard.gather(self._pass(plan.build, entries, shard))
        names = tuple(name for part in parts for name in part.shards)
        plan = IndexPlan(plan.build, sum(part.examples for part in parts), names)
        self.folder.write_plan(plan)
        return plan, entries

    def _pass(self, build: str, entries: Entries, shard: Shard) -> Reached:
        """Go through this process's share of the training data."""
        stream, reached = self.stream, self.folder.reached(build, shard)
        trail, bar = reached.seen, "index" if self.show_progress else None
        waiting: list[Short] = []
        with stream.fit.recording(None) as recorder:
            for batch in stream.train.iterate(shard, reached.next, bar=bar, trail=trail):
                found = entries.read(recorder, batch.to(stream.fit.device), stream.fit.loss)
                waiting.append(Short.of(batch.places, found, self.dtype))
                reached = replace(reached, next=batch.number + 1, trail=trail.digest)
                if len(waiting) == _BATCHES:
                    reached = self.folder.write(build, shard, reached, waiting)
                    waiting = []
        return self.folder.write(build, shard, reached, waiting) if waiting else reached


def _fit(fit: FittedCurvature, folder: IndexFolder, known: bool, show_progress: bool) -> None:
    """Take the index's own curvature, or write the one that it is to have."""
    if known:
        fit.load(folder.curvature)
        return
    if not fit.is_current:
        fit.fit(show_progress, folder.fitting)
    fit.save(folder.curvature)
    Shard.current().gather(None)  # it is written before anybody begins

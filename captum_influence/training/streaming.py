"""The one loop of training scores: batches outside, checkpoints inside, all layers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captum_influence.data.batch import Batch
from captum_influence.data.batches import Batches
from captum_influence.data.identity import told
from captum_influence.data.items import Accepts
from captum_influence.data.resume import Resume
from captum_influence.data.sharding import Shard
from captum_influence.data.workers import workers_watched
from captum_influence.training.checkpoints import Weights
from captum_influence.training.collectors import Kept, Sink, identity_of, kept, restore
from captum_influence.training.fitted import FittedCurvature
from captum_influence.training.losses import ExampleLoss
from captum_influence.training.scoring import Group, RawScores, Scorer
from captum_influence.training.whole import LayerRecorder

__all__ = ["ScoreStream"]


@dataclass(frozen=True, eq=False)
class ScoreStream:
    """Scores of examples as they stream by, at every checkpoint of a fitted curvature.

    Attributes:
        fit: the curvature, which knows the model, its layers and the checkpoints.
        train: the training data, by whose number scores are divided.
        test_loss: the quantity at the test examples.
        damping: δ; None: a tenth of each block's mean eigenvalue.
        accepts: what the network takes.
    """

    fit: FittedCurvature
    train: Batches
    test_loss: ExampleLoss
    damping: float | None
    accepts: Accepts

    def run(
        self,
        source: Batches,
        sinks: Sequence[Sink],
        inputs: Any,
        *,
        resume: str | Path | None = None,
        show_progress: bool = False,
    ) -> list[Any]:
        """Go through some data; return what each sink has collected."""
        self.fit.ensure(show_progress)
        shard, device = Shard.current(), self.fit.device
        path = None if resume is None else Path(resume)
        with workers_watched(source.loader), self.fit.recording(None) as recorder:
            asked: list[Any] = []
            scorers = self._scorers(recorder, inputs, None if path is None else asked)
            identity = {} if path is None else self._identity(source, sinks, asked)
            file = Resume(path, Kept, identity, shard)
            before = restore(sinks, file, device)
            bar, trail = "influence" if show_progress else None, before.seen
            watched = None if path is None else trail
            for batch in source.iterate(shard, before.next, bar=bar, trail=watched):
                scores = self._scored(recorder, scorers, batch.to(device), sinks)
                for sink in sinks:
                    sink.collector.add(batch.places, sink.read(scores))
                if file.is_due(batch.number):
                    file.write(kept(sinks, batch.number + 1, trail.digest))
        file.write(kept(sinks, None, trail.digest))
        return [sink.collector.result(shard) for sink in sinks]

    def groups(self) -> list[list[Group]]:
        """Return the layers and their damped inverse curvature, for each checkpoint."""
        return [
            [Group(e.layers, e.block(self.damping)) for e in estimators]
            for estimators in self.fit.estimators
        ]

    def scale(self, weights: Weights) -> float:
        """Return the factor of a checkpoint's scores."""
        if not self.fit.curvature.scaled:
            return weights.learning_rate
        return 1 / (self.train.count() * len(self.fit.weights))

    def _identity(
        self, source: Batches, sinks: Sequence[Sink], asked: Sequence[Any]
    ) -> dict[str, Any]:
        """Return what partial results belong to, as JSON."""
        return {
            **self.fit.identity,
            **identity_of(sinks),
            "queries": told(asked),
            "test_loss": told(self.test_loss.function),
            "damping": repr(self.damping),
            **source.identity,
        }

    def _scored(
        self,
        recorder: LayerRecorder,
        scorers: Sequence[Scorer],
        batch: Batch,
        sinks: Sequence[Sink],
    ) -> RawScores:
        """Return a batch's scores, summed over the checkpoints."""
        with_self, found = any(sink.needs_self for sink in sinks), []
        for weights, scorer in zip(self.fit.weights, scorers, strict=True):
            weights.into(self.fit.model)
            found.append(scorer.score(recorder, batch, with_self=with_self))
        return sum(found[1:], start=found[0])

    def _scorers(
        self, recorder: LayerRecorder, inputs: Any, asked: list[Any] | None
    ) -> list[Scorer]:
        """Return one per checkpoint, with the queries' gradients taken and preconditioned.

        Args:
            recorder: of the layers.
            inputs: the queries.
            asked: takes what the queries are; None: nobody wants to know.
        """
        scorers = []
        for weights, groups in zip(self.fit.weights, self.groups(), strict=True):
            weights.into(self.fit.model)
            scorer = Scorer(groups, self.scale(weights), self.fit.loss)
            batches = () if inputs is None else Batches.ensure(inputs, self.accepts).iterate()
            for batch in batches:
                if asked is not None:
                    asked.append(told((batch.arguments, batch.target)))
                scorer.add_queries(recorder, batch.to(self.fit.device), self.test_loss)
            scorers.append(scorer)
        return scorers

"""The curvature at the weights of each checkpoint, estimated when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.data.batches import Batches
from captum_influence.data.identity import digest_of_weights, told
from captum_influence.data.resume import Resume, read_record, write_record
from captum_influence.data.sharding import Shard
from captum_influence.network.recording import Recorder, restored_weights
from captum_influence.training.checkpoints import Weights
from captum_influence.training.curvature import Curvature, Estimator
from captum_influence.training.fitting import CurvatureFit, FitState
from captum_influence.training.gradients import LayerGradient
from captum_influence.training.losses import ExampleLoss, Fisher
from captum_influence.training.shared import modules_of, spare_modules_of
from captum_influence.training.whole import Comparison, LayerRecorder

__all__ = ["FittedCurvature"]


@dataclass(frozen=True, eq=False)
class _Sums:
    """The estimators' sums, for each checkpoint: what a file of the curvature holds."""

    sums: tuple[tuple[Mapping[str, Tensor], ...], ...]


@dataclass(eq=False)
class FittedCurvature:
    """A model's curvature at some checkpoints, as far as it has been estimated.

    Attributes:
        model: the network; left as found.
        layers: those whose curvature it is.
        weights: the checkpoints.
        curvature: what stands for the Hessian.
        fisher: which vectors stand for the loss's own curvature.
        loss: the training loss.
        source: the data.
        seed: of the sampled vectors.
        estimators: those of each checkpoint; empty until they are fitted.
    """

    model: Module
    layers: tuple[LayerGradient, ...]
    weights: Sequence[Weights]
    curvature: Curvature
    fisher: Fisher
    loss: ExampleLoss
    source: Batches
    seed: int
    estimators: list[list[Estimator]] = field(default_factory=list)
    _fitted_at: list[str] = field(default_factory=list)
    _comparison: Comparison = field(init=False)

    def __post_init__(self) -> None:
        self._comparison = Comparison(self.layers)

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.layers[0].device

    @property
    def is_fitted(self) -> bool:
        """Whether the curvature is known at every checkpoint."""
        return len(self.estimators) == len(self.weights)

    @property
    def is_current(self) -> bool:
        """Whether it is known for the weights that the model has now."""
        return self.is_fitted and self._fitted_at == self._digests()

    @property
    def identity(self) -> dict[str, Any]:
        """What a fitted curvature belongs to."""
        return {
            "layers": repr([(layer.name, layer.size) for layer in self.layers]),
            "curvature": told(self.curvature),
            "fisher": told(self.fisher),
            "seed": repr(self.seed),
            "loss": told(self.loss.function),
            "weights": self._digests(),
        }

    def _digests(self) -> list[str]:
        """Return a digest of each checkpoint's weights."""
        states = (w.state or self.model.state_dict() for w in self.weights)
        return [digest_of_weights(state) for state in states]

    def fit(self, show_progress: bool, resume: str | Path | None = None) -> None:
        """Estimate it at every checkpoint.

        Args:
            show_progress: show a bar per stage.
            resume: a file for partial sums; each further checkpoint has a file beside it.
        """
        self.estimators = []
        for number, weights in enumerate(self.weights):
            with self.recording(weights) as recorder:
                path = None if resume is None else Path(resume)
                if path is not None and number:
                    path = path.with_name(f"{path.name}.{number}")
                self.estimators.append(self._fit_one(recorder, path, show_progress))
        self._fitted_at = self._digests()

    def _fit_one(
        self, recorder: LayerRecorder, path: Path | None, show_progress: bool
    ) -> list[Estimator]:
        estimators = self.curvature.estimators(self.layers)
        fit = CurvatureFit(recorder, self.loss, self.fisher, self.source, self.seed, self.device)
        identity = {} if path is None else self.identity | self.source.identity
        resume = Resume(path, FitState, identity, Shard.current())
        fit.run(estimators, resume, show_progress=show_progress)
        return estimators

    def ensure(self, show_progress: bool = False) -> None:
        """Estimate it, unless it is known; training on makes it stale."""
        if not self.is_current:
            self.fit(show_progress)

    def save(self, path: str | Path) -> None:
        """Write it to a file (by the first process only)."""
        self.ensure()
        if Shard.current().rank == 0:
            sums = tuple(tuple(e.sums for e in found) for found in self.estimators)
            write_record(path, "curvature", _Sums(sums), self.identity)

    def load(self, path: str | Path) -> None:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: if it was written for another model or other settings, or is damaged.
        """
        saved = read_record(Path(path), "curvature", _Sums, self.identity)
        self.estimators = []
        for sums in saved.sums:
            estimators = self.curvature.estimators(self.layers)
            for estimator, one in zip(estimators, sums, strict=True):
                estimator.sums = {name: value.to(self.device) for name, value in one.items()}
            self.estimators.append(estimators)
        self._fitted_at = self._digests()

    @contextmanager
    def weights_loaded(self) -> Iterator[None]:
        """Load the (last) checkpoint's weights; afterwards the model is as it was."""
        with ExitStack() as stack:
            if any(found.state is not None for found in self.weights):
                stack.enter_context(restored_weights(self.model))
                self.weights[-1].into(self.model)
            yield

    @contextmanager
    def recording(self, weights: Weights | None) -> Iterator[LayerRecorder]:
        """Give the recorder at some weights; afterwards the model is as it was."""
        modules, spare = modules_of(self.layers), spare_modules_of(self.layers)
        with self.weights_loaded():
            if weights is not None:
                weights.into(self.model)
            with Recorder(self.model, modules, spare) as recorder:
                yield LayerRecorder(recorder, self._comparison)

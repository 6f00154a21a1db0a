"""LayerInfluence: which training examples made the network answer so, and through which layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from captum.influence import DataInfluence  # type: ignore[import-untyped,unused-ignore]
from torch import Tensor
from torch.nn import Module
from torch.utils.data import DataLoader, Dataset

from captum_influence.data.sharding import Shard
from captum_influence.data.streams import Batch, ResumeFile, Source, check_identity, write_whole
from captum_influence.network.captum_private import KMostInfluentialResults
from captum_influence.network.recording import Recorder, restored_weights
from captum_influence.training.checkpoints import Weights, fingerprint, load_checkpoint
from captum_influence.training.collectors import (
    AllScores,
    Reader,
    Sink,
    TopScores,
    identity_of,
    progress,
    restore,
)
from captum_influence.training.curvature import Curvature, Estimator
from captum_influence.training.fitting import CurvatureFit
from captum_influence.training.gradients import treatable_layers
from captum_influence.training.losses import ExampleLoss, Fisher
from captum_influence.training.scoring import Group, LayerScores, Scorer

__all__ = ["LayerInfluence"]

Data: TypeAlias = Dataset[Any] | DataLoader[Any]
Scores: TypeAlias = Tensor | KMostInfluentialResults


class LayerInfluence(DataInfluence):  # type: ignore[misc,unused-ignore]  # captum is untyped
    r"""Influence functions of training examples, global and per layer, in one streaming pass.

    score(q, t) = Σ_l (1/N) ∇_l L(q)ᵀ (H_l + δI)⁻¹ ∇_l L(t), with N training examples and H_l the
    layer's curvature of the mean training loss: the rise of q's loss if t were left out and the
    layer retrained (Koh & Liang 2017; Grosse et al. 2023). Positive: t helps q. With
    `curvature="identity"`: learning rate x dot product of gradients, summed over checkpoints.

    Args:
        model: the network; left as found, evaluated in eval mode.
        train_dataset: a Dataset or unshuffled DataLoader; the last element is the target.
        checkpoint: what `checkpoints_load_func` loads, or a list of these; `None`: as it is.
        checkpoints_load_func: `f(model, checkpoint)` -> learning rate.
        layers: names or modules; `None`: every trainable layer.
        loss_fn: the training loss; any reduction.
        batch_size: of a Dataset.
        hessian_dataset: for the curvature; `None`: the training data.
        test_loss_fn: the quantity at the test examples; `None`: `loss_fn`.
        curvature: "ekfac", "identity", "ggn", "ggn_joint" or a `Curvature`.
        fisher: "exact", "sampled", "empirical" or a `Fisher`.
        damping: δ; `None`: a tenth of each block's mean eigenvalue.
        normalize: "self" divides scores by √self-influence (Barshan et al. 2020).
        seed: of the sampled Fisher.
        skip_unsupported: leave out layers that cannot be treated (see `skipped`).
    """

    def __init__(
        self,
        model: Module,
        train_dataset: Data,
        checkpoint: Any = None,
        checkpoints_load_func: Callable[[Module, Any], float] | None = None,
        *,
        layers: Sequence[str | Module] | None = None,
        loss_fn: Callable[..., Tensor],
        batch_size: int = 64,
        hessian_dataset: Data | None = None,
        test_loss_fn: Callable[..., Tensor] | None = None,
        curvature: str | Curvature = "ekfac",
        fisher: str | Fisher = "exact",
        damping: float | None = None,
        normalize: str | None = None,
        seed: int = 0,
        skip_unsupported: bool = False,
    ) -> None:
        """Check the options and load the checkpoints; the curvature is estimated by `fit`."""
        _check_options(damping, normalize)
        self.model, self.train_dataset, self.checkpoint = model, train_dataset, checkpoint
        self.loss_fn, self.test_loss_fn = loss_fn, test_loss_fn or loss_fn
        self.checkpoints_load_func = checkpoints_load_func or load_checkpoint
        self.curvature, self.fisher = Curvature.ensure(curvature), Fisher.ensure(fisher)
        self.damping, self.normalize, self.seed = damping, normalize, seed
        self.batch_size = batch_size
        self._train = Source(train_dataset, batch_size)
        self._hessian = (
            self._train if hessian_dataset is None else Source(hessian_dataset, batch_size)
        )
        self._loss, self._test_loss = ExampleLoss(loss_fn), ExampleLoss(self.test_loss_fn)
        self._layers, self.skipped = treatable_layers(
            model, layers, skip_unsupported=skip_unsupported
        )
        self._weights = Weights.load(model, checkpoint, self.checkpoints_load_func)
        self._estimators: list[list[Estimator]] = []  # per checkpoint
        self._fitted_at = ""  # the weights' fingerprint: training on makes the curvature stale

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in the model's order."""
        return [layer.name for layer in self._layers]

    @property
    def fitted(self) -> bool:
        """Whether the curvature is known."""
        return len(self._estimators) == len(self._weights)

    def fit(
        self, show_progress: bool = False, *, resume: str | Path | None = None
    ) -> LayerInfluence:
        """Estimate the curvature (done by itself when scores are first asked for).

        Args:
            show_progress: show a bar per stage.
            resume: a file for partial sums; a run that was killed goes on from it.
        """
        self._estimators = []
        for i, weights in enumerate(self._weights):
            with self._recording(weights) as recorder:
                self._estimators.append(self._fit_one(recorder, i, resume, show_progress))
        self._fitted_at = self._identity()["weights"]
        return self

    def influence(
        self,
        inputs: Any,
        k: int | None = None,
        proponents: bool = True,
        show_progress: bool = False,
        *,
        resume: str | Path | None = None,
    ) -> Scores:
        """The influence of every training example on every test example, all layers together.

        Args:
            inputs: a batch `(*inputs, target)` or a DataLoader of batches.
            k: `None` for all scores, else the k most influential examples per test example.
            proponents: the highest scores if true, else the lowest.
            show_progress: show a bar.
            resume: a file for partial results.

        Returns:
            Scores (test, train), or Captum's `KMostInfluentialResults` of two (test, k).
        """
        return self._run(inputs, [None], k, proponents, show_progress, resume)[None]

    def layer_influence(
        self,
        inputs: Any,
        k: int | None = None,
        proponents: bool = True,
        show_progress: bool = False,
        layers: Sequence[str | Module] | None = None,
        *,
        resume: str | Path | None = None,
    ) -> dict[str, Scores]:
        """`influence` for each layer by itself; raw scores of all layers sum to the global ones.

        With a curvature of one block per layer, a layer's score is the effect of retraining that
        layer alone. With `DenseGGN(joint=True)` it is the layer's slice of the global product.

        Args:
            inputs: as in `influence`.
            k: as in `influence`.
            proponents: as in `influence`.
            show_progress: show a bar.
            layers: some of the layers; `None`: all.
            resume: a file for partial results.
        """
        found = self._run(inputs, self._chosen(layers), k, proponents, show_progress, resume)
        return {str(name): scores for name, scores in found.items()}

    def self_influence(self, inputs: Any = None, show_progress: bool = False) -> Tensor:
        """Each example's influence on its own loss, (examples,); `None`: the training data."""
        return self._run_self(inputs, [None], show_progress)[None]

    def layer_self_influence(
        self,
        inputs: Any = None,
        show_progress: bool = False,
        layers: Sequence[str | Module] | None = None,
    ) -> dict[str, Tensor]:
        """`self_influence` for each layer by itself."""
        found = self._run_self(inputs, self._chosen(layers), show_progress)
        return {str(name): scores for name, scores in found.items()}

    def scores(
        self, inputs: Any, show_progress: bool = False, *, resume: str | Path | None = None
    ) -> LayerScores:
        """All layers' raw scores and self-influences in one pass (`LayerScores`).

        Global, layer-wise and normalised scores all follow from it without another pass.
        """
        readers = [Reader.raw(name) for name in self.layers] + [
            Reader.own(name) for name in self.layers
        ]
        sinks = [Sink(AllScores(), read) for read in readers]
        found = self._stream(self._train, sinks, inputs, resume, show_progress)
        n = len(self.layers)
        return LayerScores(
            dict(zip(self.layers, found[:n], strict=True)),
            dict(zip(self.layers, found[n:], strict=True)),
        )

    def save(self, path: str | Path) -> None:
        """Write the fitted curvature to a file (by the first process only)."""
        self._ensure_fitted(False)
        if Shard.current().rank == 0:
            sums = [[e.sums for e in found] for found in self._estimators]
            write_whole(Path(path), {"identity": self._identity(), "sums": sums})

    def load(self, path: str | Path) -> LayerInfluence:
        """Read a curvature that `save` wrote for the same weights, layers and settings.

        Raises:
            ValueError: if it was written for another model or other settings.
        """
        device = self._device
        saved = torch.load(path, map_location=device, weights_only=True)
        check_identity(saved["identity"], self._identity(), Path(path))
        self._estimators = []
        for sums in saved["sums"]:
            estimators = self.curvature.estimators(self._layers)
            for estimator, one in zip(estimators, sums, strict=True):
                estimator.sums = dict(one)
            self._estimators.append(estimators)
        self._fitted_at = self._identity()["weights"]
        return self

    @contextmanager
    def weights_loaded(self) -> Iterator[None]:
        """The model at the (last) checkpoint's weights; afterwards as it was."""
        with ExitStack() as stack:
            if any(found.state is not None for found in self._weights):
                stack.enter_context(restored_weights(self.model))
                self._weights[-1].into(self.model)
            yield

    def _run(
        self,
        inputs: Any,
        keys: Sequence[str | None],
        k: int | None,
        proponents: bool,
        show_progress: bool,
        resume: str | Path | None,
    ) -> dict[str | None, Scores]:
        normalized = self.normalize == "self"
        sinks = [
            Sink(
                AllScores() if k is None else TopScores(k, proponents=proponents),
                Reader.normalized(key) if normalized else Reader.raw(key),
            )
            for key in keys
        ]
        found = self._stream(self._train, sinks, inputs, resume, show_progress)
        return dict(zip(keys, found, strict=True))

    def _run_self(
        self, inputs: Any, keys: Sequence[str | None], show_progress: bool
    ) -> dict[str | None, Tensor]:
        source = self._train if inputs is None else Source.ensure(inputs)
        sinks = [Sink(AllScores(), Reader.own(key)) for key in keys]
        found = self._stream(source, sinks, None, None, show_progress)
        return dict(zip(keys, found, strict=True))

    def _stream(
        self,
        source: Source,
        sinks: Sequence[Sink],
        inputs: Any,
        resume: str | Path | None,
        show_progress: bool,
    ) -> list[Any]:
        """The one loop: batches outside, checkpoints inside, every layer and query at once."""
        self._ensure_fitted(show_progress)
        shard, with_self = Shard.current(), any(sink.needs_self for sink in sinks)
        with self._recording(None) as recorder:
            scorers = self._scorers(recorder, inputs)
            queries = [query for one in scorers for query in one.queries]
            identity = self._identity() | identity_of(sinks, queries, self.damping)
            file = ResumeFile(None if resume is None else Path(resume), identity, shard)
            begin = restore(sinks, file)
            for batch in source.batches(
                shard, begin=begin, show_progress=show_progress, title="influence"
            ):
                moved = batch.to(self._device)
                parts = self._each(recorder, scorers, moved, with_self)
                scores = sum(parts[1:], start=parts[0])
                for sink in sinks:
                    sink.collector.add(batch.start, sink.read(scores))
                file.write(progress(sinks, batch.number + 1), number=batch.number)
        file.write(progress(sinks, None))
        return [sink.collector.result(shard) for sink in sinks]

    def _each(
        self, recorder: Recorder, scorers: Sequence[Scorer], batch: Batch, with_self: bool
    ) -> list[LayerScores]:
        found = []
        for weights, scorer in zip(self._weights, scorers, strict=True):
            weights.into(self.model)
            found.append(scorer.score(recorder, batch, with_self=with_self))
        return found

    def _scorers(self, recorder: Recorder, inputs: Any) -> list[Scorer]:
        """One per checkpoint, with the queries' gradients taken and preconditioned."""
        scorers = []
        for weights, estimators in zip(self._weights, self._estimators, strict=True):
            weights.into(self.model)
            groups = [Group(e.layers, e.block(self.damping)) for e in estimators]
            scorer = Scorer(groups, self._scale(weights), self._loss)
            batches = () if inputs is None else Source.ensure(inputs).batches(Shard())
            for batch in batches:
                scorer.add_queries(recorder, batch.to(self._device), self._test_loss)
            scorers.append(scorer)
        return scorers

    def _scale(self, weights: Weights) -> float:
        if not self.curvature.scaled:
            return weights.learning_rate
        return 1 / (self._train.count() * len(self._weights))

    def _fit_one(
        self, recorder: Recorder, number: int, resume: str | Path | None, show_progress: bool
    ) -> list[Estimator]:
        estimators = self.curvature.estimators(self._layers)
        path = None if resume is None else Path(resume)
        if path is not None and number:
            path = path.with_name(f"{path.name}.{number}")
        file = ResumeFile(path, self._identity(), Shard.current())
        fit = CurvatureFit(
            recorder, self._loss, self.fisher, self._hessian, self.seed, self._device
        )
        fit.run(estimators, file, show_progress=show_progress)
        return estimators

    def _ensure_fitted(self, show_progress: bool) -> None:
        if not self.fitted or self._fitted_at != self._identity()["weights"]:
            self.fit(show_progress)

    @contextmanager
    def _recording(self, weights: Weights | None) -> Iterator[Recorder]:
        """The recorder at some weights; the model is put back as it was."""
        modules = {layer.name: layer.module for layer in self._layers}
        with self.weights_loaded():
            if weights is not None:
                weights.into(self.model)
            with Recorder(self.model, modules) as recorder:
                yield recorder

    def _chosen(self, layers: Sequence[str | Module] | None) -> list[str | None]:
        """Keys of the layers asked for, each one of this object's."""
        if layers is None:
            return list(self.layers)
        chosen, _ = treatable_layers(self.model, layers, skip_unsupported=True)
        unknown = [layer.name for layer in chosen if layer.name not in self.layers]
        if unknown:
            raise ValueError(
                f"expected some of the layers {self.layers}, got {unknown}; name them in the "
                "constructor's layers= too"
            )
        return [layer.name for layer in chosen]

    @property
    def _device(self) -> torch.device:
        return self._layers[0].device

    def _identity(self) -> dict[str, str]:
        """What fitted curvature belongs to."""
        states = [w.state or self.model.state_dict() for w in self._weights]
        return {
            "layers": repr([(layer.name, layer.size) for layer in self._layers]),
            "curvature": repr(self.curvature),
            "fisher": repr(self.fisher),
            "seed": repr(self.seed),
            "weights": repr([f"{fingerprint(list(state.values())):.8g}" for state in states]),
        }


def _check_options(damping: float | None, normalize: str | None) -> None:
    if damping is not None and not 0 <= damping < float("inf"):
        raise ValueError(f"expected damping to be None or a number >= 0, got {damping!r}")
    if normalize not in (None, "self"):
        raise ValueError(f"expected normalize to be None or 'self', got {normalize!r}")

"""LayerInfluence: which training examples made the network answer so, and through which layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from captum.influence import DataInfluence  # type: ignore[import-untyped,unused-ignore]
from torch import Tensor
from torch.nn import Module
from torch.utils.data import DataLoader
from typing_extensions import Unpack

from captum_influence.data.batches import Batches
from captum_influence.data.items import Accepts, columns
from captum_influence.data.sharding import joined_shard
from captum_influence.network.captum_private import KMostInfluentialResults
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import network_of
from captum_influence.reports.asked import Asked
from captum_influence.training.checkpoints import Weights, load_checkpoint
from captum_influence.training.collectors import AllScores, Reader, Sink, TopScores
from captum_influence.training.curvature import Curvature
from captum_influence.training.fitted import FittedCurvature
from captum_influence.training.index.influence_index import InfluenceIndex
from captum_influence.training.losses import ExampleLoss, Fisher
from captum_influence.training.observation import Observed, observed
from captum_influence.training.options import Data, InfluenceOptions, check_influence_options
from captum_influence.training.result import LayerScores
from captum_influence.training.scoring import RawScores
from captum_influence.training.selection import treatable_layers
from captum_influence.training.streaming import ScoreStream

__all__ = ["LayerInfluence"]

Scores: TypeAlias = Tensor | KMostInfluentialResults


class LayerInfluence(DataInfluence):  # type: ignore[misc,unused-ignore]  # captum is untyped
    r"""Influence functions of training examples, global and per layer, in one streaming pass.

    score(q, t) = Σ_l (1/N) ∇_l L(q)ᵀ (H_l + δI)⁻¹ ∇_l L(t), with N training examples and H_l the
    layer's curvature of the mean training loss: the rise of q's loss if t were left out and the
    layer retrained (Koh & Liang 2017; Grosse et al. 2023). Positive: t helps q. With
    ``curvature="identity"``: learning rate x dot product of gradients, summed over checkpoints.
    Under ``torchrun`` the processes share the work, and each gets the whole result.

    Args:
        model: the network; left as found, evaluated in eval mode.
        train_dataset: a Dataset or DataLoader; the last element, or "labels", is the target.
            Examples are named by their place in the data set, whatever the loader's sampler.
        checkpoint: weights, or a list of them: networks of the same kind, state dicts, files, or
            what ``checkpoints_load_func`` loads; None: ``model`` as it is. Three networks trained
            independently, of which scores are the mean, predict better than any one of them.
        checkpoints_load_func: ``f(model, checkpoint)`` -> learning rate.
        layers: names or modules; None: every trainable layer.
        loss_fn: the training loss; any reduction.
        batch_size: of a Dataset.
        test_loss_fn: the quantity at the test examples; None: ``loss_fn``.
        curvature: ``"ekfac"``, ``"identity"``, ``"ggn"``, ``"ggn_joint"`` or a :class:`Curvature`.
        options: see :class:`InfluenceOptions`.

    Raises:
        ValueError: if an option is out of range, or a layer can't be treated.
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
        test_loss_fn: Callable[..., Tensor] | None = None,
        curvature: str | Curvature = "ekfac",
        **options: Unpack[InfluenceOptions],
    ) -> None:
        check_influence_options(options)
        self.model, self.train_dataset, self.checkpoint = model, train_dataset, checkpoint
        self.loss_fn, self.test_loss_fn = loss_fn, test_loss_fn or loss_fn
        self.checkpoints_load_func = checkpoints_load_func or load_checkpoint
        self.curvature = Curvature.ensure(curvature)
        self.fisher = Fisher.ensure(options.get("fisher", "exact"))
        self.damping, self.normalize = options.get("damping"), options.get("normalize")
        self.seed, self.batch_size = options.get("seed", 0), batch_size
        # Processes are joined first: data get an order, which all share.
        self._shard, self._accepts = joined_shard(device_of(model)), Accepts.of(network_of(model))
        self._train = Batches.ordered(train_dataset, batch_size, self._accepts)
        own = options.get("hessian_dataset")
        hessian = self._train if own is None else self._in_any_order(own)
        self._loss, self._test_loss = ExampleLoss(loss_fn), ExampleLoss(self.test_loss_fn)
        skip = options.get("skip_unsupported", False)
        self._layers, self.skipped = treatable_layers(model, layers, skip_unsupported=skip)
        self._weights = Weights.load(model, checkpoint, self.checkpoints_load_func)
        self._fit = FittedCurvature(
            model,
            self._layers,
            self._weights,
            self.curvature,
            self.fisher,
            self._loss,
            hessian,
            self.seed,
        )

    def _in_any_order(self, data: Data) -> Batches:
        """Return data of which no example is named, as a loader goes through them."""
        if not isinstance(data, DataLoader):
            return Batches.ordered(data, self.batch_size, self._accepts)
        return Batches.shared(data, self._shard, columns, self._accepts)

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in the model's order."""
        return [layer.name for layer in self._layers]

    @property
    def fitted(self) -> bool:
        """Whether the curvature is known."""
        return self._fit.is_fitted

    def fit(
        self, show_progress: bool = False, *, resume: str | Path | None = None
    ) -> LayerInfluence:
        """Estimate the curvature (done by itself when scores are first asked for).

        Args:
            show_progress: show a bar per stage.
            resume: a file for partial sums; a run that was killed goes on from it.
        """
        self._fit.fit(show_progress, resume)
        return self

    def save(self, path: str | Path) -> None:
        """Write the fitted curvature to a file (by the first process only)."""
        self._fit.save(path)

    def load(self, path: str | Path) -> LayerInfluence:
        """Read a curvature that :meth:`save` wrote for the same weights, layers and settings.

        Raises:
            ValueError: if it was written for another model or other settings, or is damaged.
        """
        self._fit.load(path)
        return self

    def weights_loaded(self) -> AbstractContextManager[None]:
        """Load the (last) checkpoint's weights inside; afterwards the model is as it was."""
        return self._fit.weights_loaded()

    def influence(
        self,
        inputs: Any,
        k: int | None = None,
        proponents: bool = True,
        show_progress: bool = False,
        *,
        resume: str | Path | None = None,
    ) -> Scores:
        """Return the influence of every training example on every test example, over all layers.

        Args:
            inputs: a batch ``(*inputs, target)`` or a DataLoader of batches.
            k: none for all scores, else the k most influential examples per test example.
            proponents: the highest scores if true, else the lowest.
            show_progress: show a bar.
            resume: a file for partial results.

        Returns:
            Scores (test, train), or Captum's ``KMostInfluentialResults`` of two (test, k).
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
        """Return :meth:`influence` for each layer; raw scores of all sum to the global ones.

        With a curvature of one block per layer, a layer's score is the effect of retraining that
        layer alone. With ``DenseGGN(joint=True)`` it is the layer's slice of the global product.

        Args:
            inputs: as in :meth:`influence`.
            k: as in :meth:`influence`.
            proponents: as in :meth:`influence`.
            show_progress: show a bar.
            layers: some of the layers; None: all.
            resume: a file for partial results.
        """
        found = self._run(inputs, self._chosen(layers), k, proponents, show_progress, resume)
        return {str(name): scores for name, scores in found.items()}

    def self_influence(self, inputs: Any = None, show_progress: bool = False) -> Tensor:
        """Return each example's influence on its own loss, (examples,); None: the training data."""
        return self._run_self(inputs, [None], show_progress)[None]

    def layer_self_influence(
        self,
        inputs: Any = None,
        show_progress: bool = False,
        layers: Sequence[str | Module] | None = None,
    ) -> dict[str, Tensor]:
        """Return :meth:`self_influence` for each layer by itself."""
        found = self._run_self(inputs, self._chosen(layers), show_progress)
        return {str(name): scores for name, scores in found.items()}

    def scores(
        self, inputs: Any, show_progress: bool = False, *, resume: str | Path | None = None
    ) -> LayerScores:
        """Return all layers' raw scores and self-influences, from one pass.

        Global, layer-wise and normalised scores all follow from it without another pass.

        Args:
            inputs: as in :meth:`influence`.
            show_progress: show a bar.
            resume: a file for partial results.
        """
        asked = Asked.of(LayerInfluence.scores, locals())
        raw = self.raw_scores(inputs, show_progress=show_progress, resume=resume)
        return LayerScores(asked=asked, scores=raw.scores, self_influence=raw.self_influence)

    def index(
        self,
        path: str | Path,
        *,
        dimension: int | None = 960,
        dtype: torch.dtype = torch.float16,
        show_progress: bool = False,
    ) -> InfluenceIndex:
        """Return an index of the training data: new queries don't go through the data again.

        One pass writes each example's preconditioned gradients into shards; under ``torchrun`` each
        process takes its share. A build that was killed goes on from its last shard, and a folder
        with an index is opened. Memory is that of a batch, and of 16 batches of entries.

        Args:
            path: a folder; the curvature is kept there too. Over large data it is fitted on a
                sample: ``hessian_dataset=Subset(dataset, some)``.
            dimension: how many numbers to keep per example, layer and checkpoint, those along the
                steepest directions of the layer's curvature; None: all, which loses nothing.
            dtype: of these.
            show_progress: show bars.

        Raises:
            ValueError: if the curvature has no eigenbasis per layer, or the folder has an index of
                other weights, layers, data or settings, or a damaged file.

        Example:
            >>> import tempfile
            >>> from torch import nn
            >>> from torch.utils.data import TensorDataset
            >>> x, y = torch.randn(30, 4), torch.randint(0, 3, (30,))
            >>> influence = LayerInfluence(
            ...     nn.Linear(4, 3), TensorDataset(x, y), loss_fn=nn.CrossEntropyLoss()
            ... )
            >>> index = influence.index(tempfile.mkdtemp())
            >>> index.top((x[:2], y[:2]), 5).indices.shape
            torch.Size([2, 5])
        """
        return InfluenceIndex.built(
            self._stream, path, dimension=dimension, dtype=dtype, show_progress=show_progress
        )

    def raw_scores(
        self, inputs: Any, *, show_progress: bool = False, resume: str | Path | None = None
    ) -> RawScores:
        """Return the numbers of :meth:`scores` alone."""
        readers = [Reader.raw(name) for name in self.layers] + [
            Reader.own(name) for name in self.layers
        ]
        sinks = [Sink(AllScores(), read) for read in readers]
        found = self._stream.run(
            self._train, sinks, inputs, resume=resume, show_progress=show_progress
        )
        n = len(self.layers)
        return RawScores(
            dict(zip(self.layers, found[:n], strict=True)),
            dict(zip(self.layers, found[n:], strict=True)),
        )

    def observe(
        self, layer: str | Module | None = None, show_progress: bool = False
    ) -> tuple[Observed, ...]:
        """Return the training examples' losses, and what a layer reads of them, per checkpoint.

        Args:
            layer: one of :attr:`layers`; None: the last.
            show_progress: show a bar.
        """
        name = self.layers[-1] if layer is None else str(self._chosen([layer])[-1])
        return tuple(
            observed(self._fit, weights, self._train, name, show_progress=show_progress)
            for weights in self._weights
        )

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
        found = self._stream.run(
            self._train, sinks, inputs, resume=resume, show_progress=show_progress
        )
        return dict(zip(keys, found, strict=True))

    def _run_self(
        self, inputs: Any, keys: Sequence[str | None], show_progress: bool
    ) -> dict[str | None, Tensor]:
        source = self._train if inputs is None else Batches.ensure(inputs, self._accepts)
        sinks = [Sink(AllScores(), Reader.own(key)) for key in keys]
        found = self._stream.run(source, sinks, None, show_progress=show_progress)
        return dict(zip(keys, found, strict=True))

    @property
    def _stream(self) -> ScoreStream:
        return ScoreStream(self._fit, self._train, self._test_loss, self.damping, self._accepts)

    def _chosen(self, layers: Sequence[str | Module] | None) -> list[str | None]:
        """Return the keys of the layers asked for, each one of this object's."""
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

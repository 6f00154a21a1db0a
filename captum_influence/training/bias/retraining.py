"""Retrain and measure: what a layer, or all of them, learns without some training examples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from captum_influence.data.batch import Batch
from captum_influence.data.batches import Batches
from captum_influence.data.items import Accepts
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import network_of
from captum_influence.network.modes import with_graph, without_graph
from captum_influence.network.recording import quiet
from captum_influence.reports.asked import Asked
from captum_influence.training.bias.retrained import Performance, RetrainingResult
from captum_influence.training.losses import ExampleLoss
from captum_influence.training.selection import treatable_layers

__all__ = ["Retraining", "measure", "retrain_and_measure"]


@dataclass(frozen=True)
class Retraining:
    """A short training run from the present weights, the same for every comparison.

    Too high a rate makes runs diverge at random and measures nothing: check that the control run
    of :func:`retrain_and_measure` stays near the original.

    Attributes:
        epochs: passes over the data.
        learning_rate: of stochastic gradient descent with momentum.
        momentum: of the descent.
        weight_decay: of the descent.
        batch_size: examples per step.
        seed: of the order of examples, drawn from a generator of its own.

    Raises:
        ValueError: if a number isn't positive.
    """

    epochs: int = 5
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.learning_rate <= 0 or self.batch_size < 1:
            raise ValueError(
                "expected epochs, learning_rate and batch_size above zero, got "
                f"{self.epochs}, {self.learning_rate} and {self.batch_size}"
            )

    def __call__(
        self,
        model: Module,
        data: Dataset[Any],
        loss_fn: Callable[..., Tensor],
        layers: Sequence[str | Module] | None = None,
        *,
        show_progress: bool = False,
    ) -> Module:
        """Return a retrained copy of the model, in evaluation mode.

        Args:
            model: from whose weights.
            data: on what.
            loss_fn: the training loss.
            layers: those that move alone; None: all.
            show_progress: show a bar per epoch.

        Raises:
            RuntimeError: if the run diverges.
        """
        names = _parameter_names(model, layers)
        found = copy.deepcopy(model).eval()
        moving = [p.requires_grad_(n in names) for n, p in found.named_parameters()]
        optimizer = torch.optim.SGD(
            [p for p in moving if p.requires_grad],
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        loss, device = ExampleLoss(loss_fn), device_of(found)
        with with_graph(), quiet(found):
            for number, batch in self._batches(data, Accepts.of(network_of(found)), show_progress):
                moved = batch.to(device)
                optimizer.zero_grad()
                torch.autograd.backward(loss(found(*moved.arguments), moved.target).mean())
                optimizer.step()
                _refuse_divergence(found, number)
        return found.requires_grad_(False)

    def _batches(
        self, data: Dataset[Any], accepts: Accepts, show_progress: bool
    ) -> Iterator[tuple[int, Batch]]:
        generator = torch.Generator().manual_seed(self.seed)
        size = len(data)  # type: ignore[arg-type]  # checked by the caller
        for epoch in range(self.epochs):
            order = torch.randperm(size, generator=generator).tolist()
            shuffled = Batches.ordered(Subset(data, order), self.batch_size, accepts)
            bar = f"training, epoch {epoch + 1} of {self.epochs}" if show_progress else None
            for batch in shuffled.iterate(bar=bar):
                yield epoch, batch


def measure(
    model: Module, groups: Mapping[str, Any], loss_fn: Callable[..., Tensor]
) -> dict[str, Performance]:
    """Return mean loss and accuracy on each group.

    Args:
        model: evaluated in eval mode.
        groups: name -> a batch ``(*inputs, target)``, or a DataLoader of these.
        loss_fn: any reduction.
    """
    loss, found, device = ExampleLoss(loss_fn), {}, device_of(model)
    accepts = Accepts.of(network_of(model))
    with without_graph(), quiet(model):
        for name, group in groups.items():
            losses, right = [], []
            for batch in Batches.ensure(group, accepts).iterate():
                moved = batch.to(device)
                output = model(*moved.arguments)
                losses.append(loss(output, moved.target))
                right.append(_right(output, moved.target))
            known = [r for r in right if r is not None]
            accuracy = float(torch.cat(known).double().mean()) if known else None
            found[name] = Performance(float(torch.cat(losses).mean()), accuracy)
    return found


def retrain_and_measure(
    model: Module,
    train_dataset: Dataset[Any],
    groups: Mapping[str, Any],
    *,
    loss_fn: Callable[..., Tensor],
    without: Sequence[int] = (),
    repaired: Mapping[int, Any] | None = None,
    layers: Sequence[str | Module] | None = None,
    retraining: Retraining | None = None,
    show_progress: bool = False,
) -> RetrainingResult:
    """Retrain chosen layers without, or with repaired, examples and show what changed.

    Args:
        model: the trained network; copies are trained, it is left as it is.
        train_dataset: items ``(*inputs, target)``.
        groups: name -> batch to measure on.
        loss_fn: the training loss.
        without: indices of training examples to leave out.
        repaired: index -> the item to put in its place.
        layers: the layers to retrain; None: all.
        retraining: the recipe; used unchanged for the control run on the original data.
        show_progress: show bars.

    Raises:
        ValueError: if nothing changes, or an index is out of range.
    """
    asked = Asked.of(retrain_and_measure, locals())
    recipe, repairs = retraining or Retraining(), dict(repaired or {})
    changed = _changed(train_dataset, without, repairs)
    control = recipe(model, train_dataset, loss_fn, layers, show_progress=show_progress)
    other = recipe(model, changed, loss_fn, layers, show_progress=show_progress)
    chosen, _ = treatable_layers(model, layers, skip_unsupported=True)
    return RetrainingResult(
        asked=asked,
        layers=tuple(layer.name for layer in chosen),
        removed=len(set(without)),
        repaired=len(repairs),
        before=measure(model, groups, loss_fn),
        control=measure(control, groups, loss_fn),
        changed=measure(other, groups, loss_fn),
    )


class _Repaired(Dataset[Any]):
    """A data set with some items replaced."""

    def __init__(self, data: Dataset[Any], repairs: Mapping[int, Any]) -> None:
        self.data, self.repairs = data, repairs

    def __getitem__(self, index: int) -> Any:
        return self.repairs[index] if index in self.repairs else self.data[index]

    def __len__(self) -> int:
        return len(self.data)  # type: ignore[arg-type]  # checked by the caller


def _changed(
    data: Dataset[Any], without: Sequence[int], repairs: Mapping[int, Any]
) -> Dataset[Any]:
    if isinstance(data, DataLoader | IterableDataset) or not isinstance(data, Sized):
        raise ValueError(
            f"expected a Dataset with a length and items, got {type(data).__name__}; retraining "
            "draws its own order"
        )
    length = len(data)
    gone = {int(i) for i in without}
    wrong = [i for i in (*gone, *repairs) if not 0 <= i < length]
    if wrong or not (gone or repairs) or len(gone) == length:
        raise ValueError(
            f"expected some, not all, indices from 0 to {length - 1} in without= or repaired=, "
            f"got {len(gone)} and {len(repairs)}, of which {len(wrong)} are out of range"
        )
    return Subset(_Repaired(data, repairs), [i for i in range(length) if i not in gone])


def _parameter_names(model: Module, layers: Sequence[str | Module] | None) -> set[str]:
    if layers is None:
        return {name for name, p in model.named_parameters() if p.requires_grad}
    chosen, _ = treatable_layers(model, layers, skip_unsupported=True)
    own = {id(p) for layer in chosen for p in layer.parameters.values()}
    return {name for name, p in model.named_parameters() if id(p) in own}


def _right(output: Tensor, target: Any) -> Tensor | None:
    classes = isinstance(target, Tensor) and not target.is_floating_point() and target.ndim == 1
    return output.argmax(1) == target if classes and output.ndim == 2 else None


def _refuse_divergence(model: Module, epoch: int) -> None:
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise RuntimeError(
            f"expected retraining to stay finite, but it diverged in epoch {epoch + 1}; lower "
            "Retraining(learning_rate=...)"
        )

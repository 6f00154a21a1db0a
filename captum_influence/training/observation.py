"""What a network makes of its training examples: their losses, and what a layer reads of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.data.batches import Batches
from captum_influence.training.checkpoints import Weights
from captum_influence.training.fitted import FittedCurvature

__all__ = ["Observed", "observed"]


@dataclass(frozen=True, eq=False)
class Observed:
    """All training examples at one set of weights, in the order of the data set.

    Attributes:
        losses: each example's own, (examples,).
        features: what the layer reads, flattened, (examples, numbers).
        labels: their classes, (examples,).
    """

    losses: Tensor
    features: Tensor
    labels: Tensor


def observed(
    fit: FittedCurvature, weights: Weights, source: Batches, layer: str, *, show_progress: bool
) -> Observed:
    """Run the network once over the training data; what is kept of it stays on the CPU.

    Args:
        fit: knows the network and its loss; the curvature itself isn't needed.
        weights: the checkpoint.
        source: the training data.
        layer: one of those whose curvature it is.
        show_progress: show a bar.

    Raises:
        ValueError: if the targets are no class numbers, one per example.
    """
    kept: list[tuple[Tensor, ...]] = []
    with fit.recording(weights) as recorder:
        for batch in source.iterate(bar="observed" if show_progress else None):
            moved = batch.to(fit.device)
            output = recorder.run(moved).detach()
            losses, read = fit.loss(output, moved.target), recorder.read(layer, len(batch))
            features = read.flatten(1) if read.ndim > 1 else read.unsqueeze(1)
            found = (losses, features, _classes(moved.target), batch.places)
            kept.append(tuple(part.detach().cpu() for part in found))
    losses, features, labels, places = (torch.cat(parts) for parts in zip(*kept, strict=True))
    order = places.argsort()
    return Observed(losses[order], features[order], labels[order])


def _classes(target: object) -> Tensor:
    if isinstance(target, Tensor) and target.ndim == 1 and not target.is_floating_point():
        return target
    came = f"shape {tuple(target.shape)}, {target.dtype}" if isinstance(target, Tensor) else ""
    raise ValueError(
        "expected one class number per training example, got targets of "
        f"{came or type(target).__name__}: labels are compared with those of similar examples"
    )

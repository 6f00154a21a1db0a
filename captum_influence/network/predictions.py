"""What a network says of an input: its classes, by name, with their scores and probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_influence.data.labels import Names, class_name
from captum_influence.network.outputs import scores_in

__all__ = [
    "Prediction",
    "log_probabilities",
    "named_predictions",
    "probabilities",
    "top_predictions",
]


@dataclass(frozen=True)
class Prediction:
    """One class, as the network sees it.

    Attributes:
        index: which class.
        name: what it is called.
        score: the network's output for it.
        probability: the softmax of all scores there (the output itself if it already sums to 1).
    """

    index: int
    name: str
    score: float
    probability: float


def probabilities(scores: Tensor) -> Tensor:
    """Return scores (..., classes) as probabilities: as they are if they already sum to one."""
    return torch.where(_are_probabilities(scores), scores, scores.softmax(dim=-1))


def log_probabilities(scores: Tensor) -> Tensor:
    """Return the logarithms of :func:`probabilities`; of scores without rounding small ones off."""
    certain, scores = _are_probabilities(scores), scores.to(_exact(scores.dtype))
    tiny = torch.finfo(scores.dtype).tiny
    return torch.where(certain, scores.clamp(min=tiny).log(), scores.log_softmax(dim=-1))


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _are_probabilities(scores: Tensor) -> Tensor:
    """Return (..., 1) whether scores (..., classes) sum to one already."""
    certain = (scores >= 0).all(-1, keepdim=True)
    return certain & ((scores.sum(-1, keepdim=True) - 1).abs() < 1e-4)


def named_predictions(row: Tensor, classes: Iterable[int], names: Names) -> tuple[Prediction, ...]:
    """Return what a row of scores (classes,) says of some classes."""
    row = row.detach().double().cpu()
    chances = probabilities(row)
    return tuple(
        Prediction(i, class_name(i, names), float(row[i]), float(chances[i])) for i in classes
    )


def top_predictions(
    output: Any, names: Names, count: int = 5, also: Sequence[int] = ()
) -> tuple[Prediction, ...]:
    """Return the classes with the highest scores, if the output holds one score per class.

    Args:
        output: what the network returns.
        names: of the classes.
        count: how many.
        also: further classes, which come after these unless they are among them.
    """
    scores = scores_in(output)
    if scores is None or scores.shape[1] < 2:
        return ()
    # Stable: of equal scores the first comes first, as for argmax, which PredictedClass goes by.
    best = scores[0].detach().argsort(descending=True, stable=True)[:count].tolist()
    return named_predictions(scores[0], dict.fromkeys([*best, *also]), names)

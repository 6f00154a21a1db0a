"""Targets: which entries of an output a score is of, checked against the output."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "BY_ENTRY_FUNCTIONS",
    "Target",
    "check_labels",
    "entry_of_each",
    "one_entry",
    "one_per_row",
    "per_example_index",
    "picked",
    "with_labels",
]

Target = int | tuple[int, ...] | Sequence[int] | Sequence[tuple[int, ...]] | Tensor | None


def per_example_index(target: Target) -> Tensor | None:
    """Return per-example targets as an index (examples, output dimensions), None for one target.

    Raises:
        TypeError: if they are no whole numbers.
        ValueError: if they address the output by different numbers of indices.
    """
    if target is None or isinstance(target, tuple):
        return None
    if isinstance(target, Tensor):
        _check_target_tensor(target)
        return target.detach().cpu().long().reshape(-1, 1) if target.numel() > 1 else None
    if not isinstance(target, list):
        return None
    entries = [one_entry(entry) for entry in target]
    if len({len(entry) for entry in entries}) != 1:
        raise ValueError(
            "a list of targets holds one int, or one tuple of equal length, per example; got "
            f"{len(entries)} entries of lengths {sorted({len(entry) for entry in entries})}"
        )
    return torch.tensor(entries)


def _check_target_tensor(target: Tensor) -> None:
    if target.is_floating_point() or target.dtype == torch.bool or target.ndim > 1:
        raise TypeError(
            "a tensor of targets must hold integers and have at most one dimension, got "
            f"{target.dtype} of shape {tuple(target.shape)}"
        )


def one_entry(target: object) -> tuple[int, ...]:
    """Return one target as a tuple of ints.

    Raises:
        TypeError: if it is no int, nor a tuple of ints.
    """
    if isinstance(target, Tensor):
        target = target.item() if target.numel() == 1 else target
    return tuple(_as_int(i) for i in (target if isinstance(target, tuple) else (target,)))


def _as_int(value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]  # the TypeError is the check
    except TypeError:
        raise TypeError(
            "a target is an int, a tuple of ints, or a list or tensor of one per example, got "
            f"{type(value).__name__}"
        ) from None


def one_per_row(scores: Tensor) -> Tensor:
    """Return an output of one number per example as (rows,).

    Raises:
        ValueError: if it has more.
    """
    if scores.ndim == 0 or scores.numel() != len(scores):
        raise ValueError(
            "without a target the network must return one number per example, got shape "
            f"{tuple(scores.shape)}; pass target= (a class index) or a quantity"
        )
    return scores.reshape(-1)


def entry_of_each(scores: Tensor, entry: tuple[int, ...]) -> Tensor:
    """Return the same entry of every row, shape (rows,).

    Raises:
        ValueError: if the output has no such entry.
    """
    _check_dimensions(scores, len(entry))
    if any(not -size <= i < size for i, size in zip(entry, scores.shape[1:], strict=False)):
        raise _out_of_range(scores, entry)
    where: tuple[int | slice, ...] = (slice(None), *entry)
    return scores[where].reshape(len(scores))


def picked(scores: Tensor, index: Tensor) -> Tensor:
    """Return ``scores[i, *index[i]]`` of every row i, shape (rows,).

    Raises:
        ValueError: if the output has no such entries, or another number of rows.
    """
    _check_dimensions(scores, index.shape[1])
    if len(scores) != len(index):
        raise ValueError(f"expected one target per example, got {len(index)} for {len(scores)}")
    _check_range(scores, index)
    rows = torch.arange(len(scores), device=scores.device)
    where = (rows, *index.to(scores.device).unbind(dim=1))
    return scores[where].reshape(len(scores))


def _check_dimensions(scores: Tensor, indices: int) -> None:
    if scores.ndim < indices + 1 or math.prod(scores.shape[indices + 1 :]) != 1:
        raise ValueError(
            f"a network that returns {tuple(scores.shape)} needs a target of {scores.ndim - 1} "
            f"indices (an int for one, a tuple for more), got {indices}"
        )


def _check_range(scores: Tensor, index: Tensor) -> None:
    sizes = torch.tensor(scores.shape[1 : 1 + index.shape[-1]])
    wrong = ((index >= sizes) | (index < -sizes)).any(dim=1)
    if bool(wrong.any()):
        raise _out_of_range(scores, index[wrong][0].tolist())


def _out_of_range(scores: Tensor, entry: Sequence[int]) -> ValueError:
    said = entry[0] if len(entry) == 1 else tuple(entry)
    return ValueError(
        f"target {said} is out of range for outputs of shape {tuple(scores.shape[1:])} per "
        "example; classes are counted from 0"
    )


# Labels of a loss

_BY_ENTRY: tuple[type[nn.Module], ...] = (
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.HuberLoss,
    nn.KLDivLoss,
    nn.L1Loss,
    nn.MSELoss,
    nn.PoissonNLLLoss,
    nn.SmoothL1Loss,
    nn.SoftMarginLoss,
)
BY_ENTRY_FUNCTIONS: tuple[object, ...] = (
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.huber_loss,
    F.kl_div,
    F.l1_loss,
    F.mse_loss,
    F.poisson_nll_loss,
    F.smooth_l1_loss,
    F.soft_margin_loss,
)
"""Losses that compare outputs and targets entry by entry."""


def check_labels(loss_fn: object, output: Any, labels: Any) -> None:
    """Refuse labels that don't fit the outputs, before a loss of torch's is asked.

    Raises:
        ValueError: if a label of cross-entropy is out of range, or a loss by entry would broadcast.
    """
    if not isinstance(output, Tensor) or not isinstance(labels, Tensor):
        return
    if isinstance(loss_fn, nn.CrossEntropyLoss | nn.NLLLoss):
        _check_classes(output, labels, loss_fn.ignore_index)
    function = getattr(loss_fn, "func", loss_fn)  # inside functools.partial
    if isinstance(loss_fn, _BY_ENTRY) or function in BY_ENTRY_FUNCTIONS:
        _check_shapes(output, labels)


def _check_classes(output: Tensor, labels: Tensor, ignored: int) -> None:
    if labels.is_floating_point() or not labels.numel() or not output.ndim:
        return
    classes = output.shape[1 if output.ndim > 1 else 0]
    # On a GPU such a label would end the process's use of it.
    wrong = ((labels < 0) | (labels >= classes)) & (labels != ignored)
    if bool(wrong.any()):
        raise ValueError(
            f"expected labels from 0 to {classes - 1}, for outputs of shape {tuple(output.shape)}, "
            f"got {int(labels[wrong][0])}: classes are counted from 0"
        )


def _check_shapes(output: Tensor, labels: Tensor) -> None:
    if labels.ndim != output.ndim or len(labels) != len(output):
        raise ValueError(
            f"expected labels of the outputs' shape, {tuple(output.shape)}, got "
            f"{tuple(labels.shape)}, so that they are broadcast and each example gets all "
            "examples' labels: give labels of the shape of one output, as by y[:, None], or let "
            "the network return outputs of the shape of one label"
        )


def with_labels(loss_fn: Callable[[Any, Any], Tensor], output: Any, labels: Any) -> Tensor:
    """Return ``loss_fn(output, labels)``.

    Raises:
        ValueError: if it found a label out of range.
    """
    try:
        return loss_fn(output, labels)
    except (IndexError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if isinstance(error, RuntimeError) and "out of bounds" not in text:
            raise
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"expected labels that the loss has an output for, in outputs of shape {shape}, got "
            f"one out of range ({text})"
        ) from error

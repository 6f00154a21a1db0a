"""Whether a loss gives each example what it has alone in a batch of one: compared, not believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_influence.network.modes import without_graph

__all__ = ["Alone", "one_by_one", "rows_of"]

_ROWS = 3  # examples that are compared
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}

Loss = Callable[[Tensor, Any], Tensor]


def rows_of(target: Any, rows: slice) -> Any:
    """Return some examples' targets, whatever holds them."""
    if isinstance(target, Mapping):
        return {key: rows_of(value, rows) for key, value in target.items()}
    if isinstance(target, tuple) or (
        isinstance(target, list) and target and all(isinstance(x, Tensor) for x in target)
    ):
        return type(target)([rows_of(value, rows) for value in target])
    return target[rows]


def one_by_one(function: Loss, output: Tensor, target: Any) -> Tensor:
    """Return each example's loss in a batch of one, (batch,).

    Raises:
        ValueError: if it isn't one number.
    """
    return torch.stack([_single(function, output, target, i) for i in range(len(output))])


def _single(function: Loss, output: Tensor, target: Any, i: int) -> Tensor:
    row = slice(i, i + 1)
    one, own = output[row], rows_of(target, row)
    try:
        loss = function(one, own)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"expected loss_fn to run on one example alone, outputs {tuple(one.shape)} and targets "
            f"{_form(own)}; it raised {type(error).__name__}: {error}; keep the first dimension, "
            "as by squeeze(1) in place of squeeze()"
        ) from error
    if loss.numel() != 1:
        raise ValueError(
            "expected loss_fn to return one loss per example or a scalar, got shape "
            f"{tuple(loss.shape)} for one example; reduce it over all other dimensions"
        )
    return loss.reshape(())


@dataclass(frozen=True, eq=False)
class _Example:
    """An example that was seen before: data sets are often sorted, and batches then all alike."""

    output: Tensor
    target: Tensor

    def fits(self, output: Tensor, target: Any) -> bool:
        pairs = ((self.output, output), (self.target, target))
        return all(
            isinstance(b, Tensor) and a.shape[1:] == b.shape[1:] and a.device == b.device
            for a, b in pairs
        )


class Alone:
    """Compares a loss function's values with those of single examples, and remembers what it saw.

    Args:
        function: as the user gave it.
    """

    def __init__(self, function: Loss) -> None:
        self._function = function
        self._seen: _Example | None = None
        self._compared: set[tuple[Any, ...]] = set()

    def agrees(self, losses: Callable[[Tensor, Any], Tensor], output: Tensor, target: Any) -> bool:
        """Return whether losses of a batch are those of its examples alone; compared once.

        Args:
            losses: (output, target) -> (batch,).
            output: of the network.
            target: of the same examples.
        """
        key = (output.shape[1:], getattr(target, "shape", (0,))[1:])
        if key in self._compared:
            return True
        with without_graph():
            output, target = self._joined(output.detach(), target)
            if len(output) < 2:
                return True
            found = losses(output, target)[:_ROWS].double()
            some = slice(0, _ROWS)
            alone = _summed(self._function, output[some], rows_of(target, some)).double()
        if not _close(found, alone, output.dtype):
            return False
        if not _all_equal(target):  # of equal targets a mean is that of one
            self._compared.add(key)
        return True

    def check_number(self, output: Tensor, target: Any, losses: Tensor) -> None:
        """Refuse a number for a batch that is neither the sum nor the mean of its examples' own.

        Args:
            output: of the network.
            target: of the same examples.
            losses: of each example alone.

        Raises:
            ValueError: if it is neither.
        """
        with without_graph():
            joined, targets = self._joined(output.detach(), target)
            own = losses.detach()
            if len(joined) > len(output):
                first = _single(self._function, joined, targets, 0)
                own = torch.cat([first.reshape(1), own])
            number = self._function(joined, targets)
        if len(own) < 2 or number.numel() != 1:
            return
        number, own = number.double().reshape(()), own.double()
        if any(_close(number, x, output.dtype) for x in (own.mean(), own.sum())):
            return
        raise ValueError(
            "expected loss_fn's number for a batch to be the mean or the sum of what its examples "
            f"have alone, {float(own.mean()):.4g} or {float(own.sum()):.4g}, got "
            f"{float(number):.4g} for outputs {tuple(output.shape)} and targets {_form(target)}: "
            "class weights and ignored positions weigh its mean over the batch, and shapes that "
            "differ are broadcast. Give a function that returns one loss per example, as by "
            'reduction="none", or torch.nn.CrossEntropyLoss(weight=..., ignore_index=...) itself'
        )

    def refuse(self, output: Tensor, target: Any) -> None:
        """Refuse losses that differ from those of examples alone.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "expected loss_fn to give each example the loss that it has alone in a batch of one, "
            f"got another one for outputs of shape {tuple(output.shape)} and targets of shape "
            f"{_form(target)}: shapes that differ are broadcast, so that each example gets all "
            "targets, or the reduction is over the batch. Give outputs and targets of one shape, "
            "and one loss per example"
        )

    def _joined(self, output: Tensor, target: Any) -> tuple[Tensor, Any]:
        """Return a batch with the example that was seen first, if it fits."""
        if self._seen is None and isinstance(target, Tensor) and target.ndim:
            self._seen = _Example(output[:1].clone(), target[:1].clone())
            return output, target
        if self._seen is None or not self._seen.fits(output, target):
            return output, target
        joined = torch.cat([self._seen.output.to(output), output])
        return joined, torch.cat([self._seen.target.to(target), target])


def _summed(function: Loss, output: Tensor, target: Any) -> Tensor:
    """Return each example's loss alone, summed up where it has several."""
    rows = [slice(i, i + 1) for i in range(len(output))]
    return torch.stack([_sum(function, output[row], rows_of(target, row)) for row in rows])


def _sum(function: Loss, output: Tensor, target: Any) -> Tensor:
    try:
        return function(output, target).sum()
    except (ValueError, RuntimeError):
        # As by squeeze(), which drops a batch of one: two of the same serve as well.
        twice = torch.cat([output, output])
        return function(twice, torch.cat([target, target]))[0].sum()


def _close(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    tolerance = _TOLERANCE.get(dtype, 2e-2)
    scale = float(b.abs().nan_to_num(0, 0, 0).max()) if b.numel() else 0.0
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _all_equal(target: Any) -> bool:
    return isinstance(target, Tensor) and bool((target == target[:1]).all())


def _form(target: Any) -> object:
    return tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__

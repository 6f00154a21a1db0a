"""A loss as a quantity of interest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.quantities import Quantity, as_tensor
from captum_influence.attr.targets import check_labels, with_labels
from captum_influence.data.labels import Names
from captum_influence.network.modes import without_graph

__all__ = ["Loss"]


@dataclass(frozen=True, eq=False)
class Loss(Quantity):
    """A loss of the output against per-example labels: ``loss_fn(output, labels)`` -> (rows,).

    A loss with a reduction is refused; ask it for ``reduction="none"``.

    Example:
        >>> quantity = Loss(torch.nn.CrossEntropyLoss(reduction="none"), torch.tensor([3, 1]))
    """

    loss_fn: Callable[[Any, Tensor], Tensor]
    labels: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.labels, Tensor) or self.labels.ndim == 0:
            raise TypeError(
                f"Loss expects labels as a tensor with one entry per example, got {self.labels!r}"
            )

    @property
    def examples(self) -> int | None:
        return len(self.labels)

    def in_words(self, names: Names = None) -> str:
        return "loss"

    def rows(self, examples: Tensor) -> Quantity:
        return Loss(self.loss_fn, self.labels[examples.to(self.labels.device)])

    def __call__(self, output: Any) -> Tensor:
        output = as_tensor(output, self) if _reads_a_tensor(self.loss_fn) else output
        device = output.device if isinstance(output, Tensor) else self.labels.device
        labels = self.labels.to(device)
        check_labels(self.loss_fn, output, labels)
        value = with_labels(self.loss_fn, output, labels)
        if value.ndim == 0:
            raise ValueError(
                "the loss returned one number for the whole batch; expected one per example: "
                'build it with reduction="none"'
            )
        if isinstance(output, Tensor) and len(labels) > 1:
            self._check_first(value, output.detach(), labels)
        return value.reshape(len(labels), -1).sum(dim=1)

    def _check_first(self, value: Tensor, output: Tensor, labels: Tensor) -> None:
        """Refuse a loss that gives the first example something else than alone."""
        with without_graph():
            first = self.loss_fn(output[:1], labels[:1])
        same = len(value) == len(labels) and value.shape[1:] == first.shape[1:]
        if not same or not torch.allclose(value[:1].detach(), first, 1e-2, 1e-4, equal_nan=True):
            raise ValueError(
                "expected the loss of an example not to depend on the others, got outputs of shape "
                f"{tuple(output.shape)} and labels of shape {tuple(labels.shape)}, which are "
                f"broadcast or reduced to losses of shape {tuple(value.shape)}: give both one "
                "shape, as by labels[:, None]"
            )


def _reads_a_tensor(loss_fn: object) -> bool:
    """Return whether it is a loss of torch's own; one of a user's gets what the network returns."""
    function = getattr(loss_fn, "func", loss_fn)  # inside functools.partial
    own = isinstance(loss_fn, nn.Module) and type(loss_fn).__module__.startswith("torch.")
    return own or getattr(function, "__module__", None) == "torch.nn.functional"

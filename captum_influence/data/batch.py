"""A batch, and the place of its examples in the data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Batch", "PromptBatch"]


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch and its place in the data set.

    Attributes:
        number: its own.
        start: how many examples came before it.
        inputs: what the network takes first, each (examples, ...).
        target: the labels or another target; None where the loader gives none.
        further: the network's arguments after the inputs.
        names: of the inputs, where these, and what is beside them, go by name.
        beside: the arguments that go by name.
        indices: of its examples in the data set; None: from ``start`` on.
        tokenizer: what made them of text, if that is known.
    """

    number: int
    start: int
    inputs: tuple[Any, ...]
    target: Any
    further: tuple[Any, ...] = ()
    indices: Sequence[int] | None = None
    names: tuple[str, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None

    def __len__(self) -> int:
        tensors = (x for x in (*self.inputs, self.target) if isinstance(x, Tensor) and x.ndim)
        return len(next(tensors, self.inputs[0]))

    @property
    def arguments(self) -> tuple[Any, ...]:
        """All that the network takes, by position."""
        return (*self.inputs, *self.further)

    @property
    def named(self) -> dict[str, Any]:
        """All that the network takes by name; empty where it goes by position."""
        return (
            {**dict(zip(self.names, self.inputs, strict=True)), **self.beside} if self.names else {}
        )

    @property
    def places(self) -> Tensor:
        """The indices of its examples in the data set, (examples,).

        Raises:
            ValueError: if there are more or fewer examples than were asked for.
        """
        if self.indices is None:
            return torch.arange(self.start, self.start + len(self))
        if len(self.indices) != len(self):
            raise ValueError(
                f"expected a batch of the {len(self.indices)} examples that were asked for, which "
                f"are known by their order, got {len(self)}: collate_fn leaves some out or adds "
                "some; pass Subset(dataset, indices) of those that can be used"
            )
        return torch.tensor(self.indices)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; copies from pinned memory don't wait."""
        inputs, further = _moved(self.inputs, device), _moved(self.further, device)
        beside = {name: _moved(value, device) for name, value in self.beside.items()}
        target = _moved(self.target, device)
        return replace(self, inputs=inputs, further=further, beside=beside, target=target)


class PromptBatch(NamedTuple):
    """Prompts of equally many tokens, as batches of pictures are.

    Attributes:
        inputs: int64 (examples, fields, tokens): the ids, and what else is given for each token.
        labels: int64 (examples,).
        numbers: int64 (examples,), their places in the order of the loader.
    """

    inputs: Tensor
    labels: Tensor
    numbers: Tensor


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, tuple | list):
        return type(value)([_moved(item, device) for item in value])
    if not isinstance(value, Tensor):
        return value
    return value.to(device, non_blocking=device.type == "cuda" and value.is_pinned())

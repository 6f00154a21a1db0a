"""Clean inputs and corrupted ones beside them, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.calls import Given
from captum_influence.attr.inputs import NamedInputs
from captum_influence.attr.prompts import Prompts

__all__ = ["Pairs", "PairsLike"]

PairsLike = Prompts | tuple[Given, Given]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Inputs of a network, and as many others of the same shape.

    Attributes:
        clean: what is explained: a tensor, or tensors by name.
        corrupted: what differs in what is asked about.
    """

    clean: Given
    corrupted: Given

    @staticmethod
    def ensure(value: PairsLike) -> Pairs:
        """Return prompts as pairs, and a tuple (clean, corrupted).

        Raises:
            TypeError: if it is neither.
            ValueError: if the two differ in their shapes.
        """
        if isinstance(value, Prompts):
            return Pairs(value.clean, value.corrupted)
        if not isinstance(value, tuple) or len(value) != 2:
            raise TypeError(
                "expected Prompts(tokenizer, clean, corrupted), or a tuple (clean, corrupted) of "
                f"inputs, got {type(value).__name__}"
            )
        here, there = (_shapes(given) for given in value)
        if here != there:
            raise ValueError(
                f"expected corrupted inputs of the shapes of the clean ones, {here}, got {there}: "
                "what is compared position by position must be equally long"
            )
        return Pairs(*value)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(_first(self.clean))

    def split(self, rows: int) -> Iterator[tuple[Tensor, Pairs]]:
        """Yield the numbers of a few at a time, int64, and these."""
        for numbers in torch.split(torch.arange(len(self)), rows):
            yield numbers, self.rows(numbers)

    def rows(self, numbers: Tensor) -> Pairs:
        """Return those of these numbers, int64 (rows,), which may name a pair several times."""
        return Pairs(_rows(self.clean, numbers), _rows(self.corrupted, numbers))


def _first(given: Any) -> Tensor:
    values = list(given.values()) if isinstance(given, Mapping) else [given]
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        raise TypeError(
            f"expected inputs as a tensor, or tensors by name, got {type(given).__name__}"
        )
    return tensors[0]


def _shapes(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {n: tuple(v.shape) for n, v in given.items() if isinstance(v, Tensor)}
    return tuple(_first(given).shape)


def _rows(given: Any, numbers: Tensor) -> Any:
    def take(value: Any) -> Any:
        own = isinstance(value, Tensor) and value.ndim and len(value) == len(_first(given))
        return value[numbers.to(value.device)] if own else value

    if isinstance(given, Mapping):
        kept = {name: take(value) for name, value in given.items()}
        return NamedInputs(kept, getattr(given, "tokenizer", None))
    return take(given)

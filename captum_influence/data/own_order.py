"""Whether a loader with an iteration of its own goes through its data set in order: compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor
from torch.utils.data import DataLoader

from captum_influence.data.identity import told
from captum_influence.data.items import Item

__all__ = ["OwnOrder"]


class OwnOrder:
    """Compares what a loader yields with the examples of its data set, by their place.

    What the iteration does to the inputs is its own affair, so that targets tell examples apart.
    The first and the last example of each batch are looked at.

    Args:
        loader: with an iteration of its own.
        split: tells a batch apart.
    """

    def __init__(self, loader: DataLoader[Any], split: Callable[[Any], Item]) -> None:
        self._loader, self._split = loader, split
        self._targets: set[str] = set()
        self._changed = False

    def check(self, found: Item, start: int, length: int) -> None:
        """Compare a batch.

        Args:
            found: the batch.
            start: how many examples came before it.
            length: how many it has.

        Raises:
            ValueError: if its examples aren't those at this place of the data set.
        """
        for row in sorted({0, length - 1}):
            own = self._own(start + row)
            if _row(found.target, row) != _row(own.target, 0):
                self._refuse(f"another target than its data set at {start + row}")
            self._targets.add(_row(own.target, 0))
            pairs = zip(found.inputs, own.inputs, strict=False)
            self._changed |= any(_row(a, row) != _row(b, 0) for a, b in pairs)

    def end(self) -> None:
        """Say that there are no more.

        Raises:
            ValueError: if nothing has told one example from another.
        """
        if self._changed and len(self._targets) < 2:
            self._refuse("other inputs than its data set, and the same target throughout")

    def _own(self, place: int) -> Item:
        try:
            return self._split(self._loader.collate_fn([self._loader.dataset[place]]))
        except IndexError:
            self._refuse(f"more than the {place} examples of its data set")

    def _refuse(self, came: str) -> NoReturn:
        raise ValueError(
            "expected a DataLoader that goes once through its data set in order, by which examples "
            f"are numbered, got a {type(self._loader).__name__} with an iteration of its own that "
            f"yields {came}: pass the data set itself, loader.dataset, or, to have examples "
            "numbered as they come, DataLoader(list(loader), batch_size=None)"
        )


def _row(value: Any, row: int) -> str:
    one = value[row].detach().cpu() if isinstance(value, Tensor) and value.ndim else value
    return json.dumps(told(one))

"""What the modules of a changed copy share: who has written what, and what readers hear instead.

Nothing here is ever put into a user's own network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import Module, ModuleList, Parameter

__all__ = ["Apart", "Board", "Weight"]


@dataclass(eq=False)
class Board:
    """What has been written to the stream in this pass, and which terms readers get otherwise.

    Attributes:
        noting: whether what is written is kept.
        kept: what each writer has added, (examples, positions, width), in order.
        absent: bool (readers, writers), whose term is replaced, or (examples, readers, writers);
            None: nobody's.
        others: (writers, examples, positions, width), what takes its place.
        streams: what entered a norm, by its name.
    """

    noting: bool = False
    kept: list[Tensor] = field(default_factory=list)
    absent: Tensor | None = None
    others: Tensor | None = None
    streams: dict[str, Tensor] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether it matters what is written."""
        return self.noting or self.absent is not None

    def begin(self) -> None:
        """Forget what the last pass has written."""
        self.kept.clear()
        self.streams.clear()

    def shifts(self, readers: slice, before: int) -> Tensor | None:
        """Return what some readers get beside the stream, (readers, examples, positions, width).

        Raises:
            ValueError: if what runs isn't of the shape of what takes its place.
        """
        if self.absent is None or self.others is None:
            return None
        here, there = self.kept[0].shape[:2], self.others.shape[1:3]
        if here != there and there[0] != 1:
            raise ValueError(
                f"expected inputs of {tuple(there)} examples and positions, as those whose "
                f"activations the other edges carry, got {tuple(here)}: give corrupted inputs of "
                "that shape, as by circuit.only(model, corrupted)"
            )
        which = self.absent[..., readers, :before]
        moved = self.others[:before] - torch.stack(self.kept[:before])
        rule = "rw,w...->r..." if which.ndim == 2 else "xrw,wx...->rx..."
        return torch.einsum(rule, which.to(moved), moved)


@dataclass(frozen=True, eq=False)
class Weight:
    """A module's weight, in whichever way it holds it."""

    parameter: Parameter
    bias: Parameter | None
    linear: bool  # which holds (features out, features in)

    def matrix(self) -> Tensor:
        """Return it as (features in, features out)."""
        return self.parameter.mT if self.linear else self.parameter

    def applied(self, x: Tensor, columns: slice) -> Tensor:
        """Return some features of the projection of x."""
        product = x @ self.matrix()[:, columns]
        return product if self.bias is None else product + self.bias[columns]


class Apart(Module):
    """A projection, as one reader for each of its groups of features, each with its own norm.

    Args:
        module: the projection.
        board: what all share.
        weight: its weight.
        norm: what stands between the stream and it; None: it reads the stream itself.
        entry: the norm's name on the board.
        groups: the features of each reader, in order and without a gap.
        first: the number of the first reader.
        before: how many writers have written.
    """

    def __init__(
        self,
        module: Module,
        board: Board,
        weight: Weight,
        norm: Module | None,
        entry: str,
        groups: Sequence[slice],
        first: int,
        before: int,
    ) -> None:
        super().__init__()
        self.module = module  # for its parameters
        self.readings = ModuleList(Reading(weight, norm, columns) for columns in groups)
        self.board, self.entry, self.apart = board, entry, norm is not None
        self.first, self.before = first, before

    def forward(self, given: Tensor) -> Tensor:
        stream = self.board.streams[self.entry] if self.apart else given
        count = len(self.readings)
        shifts = self.board.shifts(slice(self.first, self.first + count), self.before)
        features = [
            reading(stream, None if shifts is None else shifts[i])
            for i, reading in enumerate(self.readings)
        ]
        return torch.cat(features, dim=-1)


class Reading(Module):
    """One reader of the stream: its input side is a branch of its own."""

    norm: Module | None

    def __init__(self, weight: Weight, norm: Module | None, columns: slice) -> None:
        super().__init__()
        self.weight, self.columns = weight, columns
        self.__dict__["norm"] = norm  # not as a child: it stands elsewhere, and runs for others

    def forward(self, stream: Tensor, shift: Tensor | None) -> Tensor:
        stream = stream if shift is None else stream + shift
        normed = stream if self.norm is None else self.norm(stream)
        return self.weight.applied(normed, self.columns)

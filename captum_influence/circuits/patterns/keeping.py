"""A network run with the nodes of routes alone: all others are what they are for other inputs.

Rows come in twos: in one, heads read what is left of the stream; in the other, what goes on by the
skip connection is replaced where no route takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from captum_influence.attr.quantities import Quantity
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.patterns.course import Course, Passed
from captum_influence.circuits.patterns.refining import SKIP

__all__ = ["Nodes", "answers"]


@dataclass(frozen=True, eq=False)
class Nodes:
    """Which nodes are kept.

    Attributes:
        tokens: bool (positions,), what enters the first block.
        heads: bool (blocks, positions, heads).
        skips: bool (blocks, positions).
    """

    tokens: Tensor
    heads: Tensor
    skips: Tensor

    @staticmethod
    def of(
        starts: Tensor, positions: Tensor, heads: Tensor, length: int, each: Sequence[int]
    ) -> Nodes:
        """Return the nodes of routes.

        Args:
            starts: int64 (routes,), the token that each begins at.
            positions: int64 (routes, blocks), where it is behind each block.
            heads: int64 (routes, blocks), the head that it passes; -1: the skip connection.
            length: how many positions there are.
            each: how many heads each block has.
        """
        tokens = torch.zeros(length, dtype=torch.bool)
        tokens[starts] = True
        kept = torch.zeros(len(each), length, max(each), dtype=torch.bool)
        skips = torch.zeros(len(each), length, dtype=torch.bool)
        for places, chosen in zip(positions.tolist(), heads.tolist(), strict=True):
            for block, (place, head) in enumerate(zip(places, chosen, strict=True)):
                if head == SKIP:
                    skips[block, place] = True
                else:
                    kept[block, place, head] = True
        return Nodes(tokens, kept, skips)


def answers(
    course: Course, pairs: Pairs, quantity: Quantity, others: Passed, kept: Sequence[Nodes]
) -> Tensor:
    """Return the quantity with the nodes of each set alone, float64 (sets, pairs).

    Args:
        course: the network.
        pairs: of inputs.
        quantity: what is asked, resolved.
        others: what passes for the corrupted inputs, and takes the place of what isn't kept.
        kept: the nodes of each set.
    """
    return torch.stack([_Kept(course, pairs, others, nodes).answer(quantity) for nodes in kept])


@dataclass(frozen=True, eq=False)
class _Kept:
    """One set of nodes. Rows: (2, pairs)."""

    course: Course
    pairs: Pairs
    others: Passed
    nodes: Nodes

    def answer(self, quantity: Quantity) -> Tensor:
        changes = {self.course.entry: self._enter}
        for number, level in enumerate(self.course.levels):
            changes[level.heads] = partial(self._at_heads, number)
            changes[level.end] = partial(self._at_end, number)
        numbers = torch.arange(len(self.pairs)).repeat(2)
        output = self.course.run(self.pairs.rows(numbers).clean, changes)
        values = quantity.rows(numbers)(output)
        return values[len(self.pairs) :].detach().double().cpu()

    def _enter(self, z: Tensor) -> Tensor:
        clean = z[len(self.pairs) :]
        return self._before(0, _where(self.nodes.tokens, clean, self.others.entry))

    def _at_heads(self, number: int, z: Tensor) -> Tensor:
        level, read = self.course.levels[number], z[: len(self.pairs)]
        kept = self.nodes.heads[number, :, : level.count]
        going = _where(kept, level.apart(read), level.apart(self.others.heads[number]))
        return torch.cat([read, going.flatten(-2)])

    def _at_end(self, number: int, z: Tensor) -> Tensor:
        return self._before(number + 1, z[len(self.pairs) :])

    def _before(self, number: int, stream: Tensor) -> Tensor:
        """Return what a block reads, and what goes on beside it."""
        if number == len(self.nodes.skips):
            return torch.cat([stream, stream])
        others = self.others.entry if number == 0 else self.others.ends[number - 1]
        return torch.cat([stream, _where(self.nodes.skips[number], stream, others)])


def _where(kept: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """Return the own (pairs, positions, ..., features) where kept (positions, ...), else others."""
    return torch.where(kept[None, ..., None].to(own.device), own, others)

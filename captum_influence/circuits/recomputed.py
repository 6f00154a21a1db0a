r"""Edges into queries and keys, with what these attend to computed anew (AtP*).

A softmax that is saturated has no slope, so that attribution patching misses what another query or
key would do to it. So what a head gives is computed with the changed query, or keys, in place; only
from there to the quantity it is a slope, as Kramár et al. (2024) propose for nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.circuits.pairs import Pairs
from captum_influence.network.anatomy.split import Split
from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene

__all__ = ["Recomputed"]

_PURPOSES = ("q", "k")  # values go through no softmax
_ROWS = 64  # writers of each pair, at once


@dataclass(frozen=True, eq=False)
class Recomputed:
    """The heads of a block, whose queries and keys may hear of other writers.

    Attributes:
        split: the network, its readers apart.
        block: the block's number.
        heads: how many heads it has.
        cut: what they give, side by side, before it is projected.
    """

    split: Split
    block: int
    heads: int
    cut: Cut

    @staticmethod
    def of(split: Split) -> tuple[Recomputed, ...]:
        """Return those of every block."""
        return tuple(
            Recomputed(split, number, attention.heads, attention.cut)
            for number, block in enumerate(split.stream.blocks)
            for attention in block.attentions
        )

    def rescore(self, scores: Tensor, pairs: Pairs, others: Tensor, slopes: Tensor) -> None:
        """Put scores of edges into this block's queries and keys in the place of those there are.

        All heads of a purpose hear of the same writer at once: what a head gives depends on its
        own query alone, and on the keys of its own group.

        Args:
            scores: (readers, writers), summed over pairs.
            pairs: of inputs.
            others: (writers, pairs, positions, width), what is written for the corrupted inputs.
            slopes: (pairs, positions, features) of the quantity, at what the heads give.
        """
        for purpose in _PURPOSES:
            readers = self._readers(purpose)
            before = self.split.readers[readers[0]].before
            for writers in torch.split(torch.arange(before), max(_ROWS // len(pairs), 1)):
                lost = self._lost(readers, writers, pairs, others) * slopes.double()
                by_head = torch.unflatten(lost, -1, (self.heads, -1)).sum(dim=(1, 2, 4)).cpu()
                own = torch.unflatten(by_head, -1, (len(readers), -1)).sum(-1)
                scores[readers[0] : readers[-1] + 1, writers] = own.T

    def _readers(self, purpose: str) -> list[int]:
        """Return the numbers of the readers of a purpose, which follow one another."""
        names = [reader.name for reader in self.split.readers]
        own = [n for n in names if n.startswith(f"a{self.block}.") and n.endswith(f"<{purpose}>")]
        return [names.index(name) for name in own]

    def _lost(self, readers: list[int], writers: Tensor, pairs: Pairs, others: Tensor) -> Tensor:
        """Return what heads give less what they give as readers hear of each writer otherwise.

        That is float64 (writers, pairs, positions, features).
        """
        count, each = len(writers) + 1, len(pairs)  # first: all is heard, in the same batch
        absent = torch.zeros(count, *self.split.before.shape, dtype=torch.bool)
        for row, writer in enumerate(writers.tolist()):
            absent[row + 1, readers, writer] = True
        numbers = torch.arange(each).repeat(count)
        found: list[Tensor] = []

        def keep(heads: Tensor) -> Tensor:
            found.append(heads)
            return heads

        rows = absent.repeat_interleave(each, dim=0).to(others.device)
        with (
            self.split.without(rows, others[:, numbers.to(others.device)]),
            intervene(self.split.network, self.cut, keep),
        ):
            self.split.run(pairs.rows(numbers).clean)
        given = torch.unflatten(found[0].detach().double(), 0, (count, each))
        return given[:1] - given[1:]

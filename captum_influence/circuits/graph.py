"""Who writes to a residual stream, who reads it, and which edges between them make a circuit."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Graph"]

_END = "logits"


@dataclass(frozen=True, eq=False)
class Graph:
    """All edges of a transformer, from writers to readers.

    Attributes:
        writers: ``"input"``, heads ``"a0.h1"`` and perceptrons ``"m0"``, in the order of writing.
        readers: a head's queries, keys and values ``"a1.h0<q>"``, perceptrons, and ``"logits"``.
        before: bool (readers, writers), which writers each reader can hear.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]
    before: Tensor

    @property
    def size(self) -> int:
        """The number of edges."""
        return int(self.before.sum())

    def connected(self, scores: Tensor, count: int) -> Tensor:
        """Return the edges of a circuit: those of the largest scores that lead to the logits.

        It grows from the logits: of all edges into what is in it, the one with the largest
        absolute score is next. So each writer in it is heard, as Hanna et al. (2024) choose.

        Args:
            scores: (readers, writers).
            count: how many edges.

        Returns:
            A bool tensor (readers, writers).
        """
        chosen, inside = torch.zeros_like(self.before), {_END}
        ahead = list(self._into(_END, scores))
        heapq.heapify(ahead)
        while ahead and int(count) > 0:
            _, reader, writer = heapq.heappop(ahead)
            chosen[reader, writer] = True
            count -= 1
            if self.writers[writer] not in inside:
                inside.add(self.writers[writer])
                for edge in self._into(self.writers[writer], scores):
                    heapq.heappush(ahead, edge)
        return chosen

    def random(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the edges of a circuit that is chosen in the same way, by random scores."""
        scores = torch.rand(self.before.shape, generator=generator)
        return self.connected(scores, count)

    def edge(self, reader: int, writer: int) -> str:
        """Return an edge's name."""
        return f"{self.writers[writer]}->{self.readers[reader]}"

    def _into(self, node: str, scores: Tensor) -> list[tuple[float, int, int]]:
        """Return the edges into a node, with what sorts the largest first."""
        found = []
        for reader, name in enumerate(self.readers):
            if name.partition("<")[0] == node:
                heard = self.before[reader].nonzero().flatten().tolist()
                found += [(-abs(float(scores[reader, w])), reader, w) for w in heard]
        return found

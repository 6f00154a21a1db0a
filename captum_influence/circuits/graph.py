"""Who writes to a residual stream, who reads it, and which edges between them make a circuit."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Graph", "edge_in_words", "node_in_words"]

_END = "logits"


_PURPOSES = {"q": "queries", "k": "keys", "v": "values"}


def node_in_words(name: str) -> tuple[str, str]:
    """Return what a node is called, and in which block it is, if in one.

    Example:
        >>> node_in_words("a1.h3"), node_in_words("m0"), node_in_words("logits")
        (('head 3', 'block 1'), ('neurons', 'block 0'), ('answer', ''))
    """
    if name in ("input", _END):
        return ("answer" if name == _END else name), ""
    block, _, head = name.partition(".h")
    return (f"head {head}" if head else "neurons"), f"block {block[1:]}"


def edge_in_words(name: str) -> str:
    """Return who speaks to whom.

    Example:
        >>> edge_in_words("a0.h0->a1.h3<k>")
        'head 0 of block 0 → keys of head 3 of block 1'
    """
    writer, _, reader = name.partition("->")
    node, _, purpose = reader.partition("<")
    first, second = (" of ".join(filter(None, node_in_words(one))) for one in (writer, node))
    heard = f"{_PURPOSES[purpose.rstrip('>')]} of " if purpose else ""
    return f"{first} → {heard}{second}"


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

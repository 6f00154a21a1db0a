"""What edges are estimated to carry, and what a network answers with some of them alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.calls import Call
from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.circuits.graph import Graph
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.recomputed import Recomputed
from captum_influence.data.bars import progress
from captum_influence.data.items import Accepts
from captum_influence.network.anatomy.split import Split

__all__ = ["Measured", "Measuring"]

_ROWS = 16  # pairs at once; what is written is kept for each writer


@dataclass(frozen=True, eq=False)
class Measured:
    """What a circuit's edges carry of a quantity.

    Attributes:
        clean: (pairs,) the quantity on the clean inputs.
        corrupted: (pairs,) and on the corrupted ones.
        kept: (circuits, pairs) with the edges of each circuit alone.
    """

    clean: Tensor
    corrupted: Tensor
    kept: Tensor

    @property
    def faithfulness(self) -> Tensor:
        """(circuits,) the share of what the corruption takes that a circuit brings back."""
        lost = self.clean.mean() - self.corrupted.mean()
        return (self.kept.mean(dim=1) - self.corrupted.mean()) / lost


@dataclass(frozen=True, eq=False)
class Measuring:
    """A split network, and what is asked of it.

    Attributes:
        split: the network, its readers apart.
        pairs: of inputs.
        quantity: what is asked.
        run: how it is run.
    """

    split: Split
    pairs: Pairs
    quantity: Quantity
    run: Run

    @property
    def graph(self) -> Graph:
        """All edges."""
        readers = tuple(reader.name for reader in self.split.readers)
        return Graph(self.split.writers, readers, self.split.before)

    def edges(self, distribution: Distribution, *, recompute: bool = False) -> Tensor:
        r"""Return what each edge is estimated to carry, float64 (readers, writers).

        .. math:: E_{x \sim P}[\partial q / \partial r] \cdot (w(x) - w(x'))

        summed over positions and features, meaned over pairs: what the quantity loses as reader
        r hears of writer w what it writes for the corrupted input :math:`x'`.

        Args:
            distribution: over which inputs: at the clean ones it is edge attribution patching.
            recompute: whether what changed queries and keys attend to is computed, and only what
                follows estimated; see :class:`Recomputed`.
        """
        total = torch.zeros(self.split.before.shape, dtype=torch.float64)
        readers = [reader.cut for reader in self.split.readers]
        recomputed = Recomputed.of(self.split) if recompute else ()
        for numbers, part in self._parts("edges"):
            slopes = DistributionalInfluence(
                self.split.network,
                [*readers, *(one.cut for one in recomputed)],
                distribution=_of_rows(distribution, numbers),
                quantity=self.quantity.rows(numbers),
            ).attribute(part.clean)
            others = self.split.written(part.corrupted)
            moved = self.split.written(part.clean) - others
            own = torch.zeros_like(total)
            for reader, slope in enumerate(slopes[: len(readers)]):
                products = torch.einsum("...,w...->w", slope.double(), moved.double())
                own[reader] = products.cpu()
            for one, slope in zip(recomputed, slopes[len(readers) :], strict=True):
                one.rescore(own, part, others, slope)
            total += own
        return (total / len(self.pairs)).where(self.split.before, 0.0)

    def answers(self, circuits: Sequence[Tensor]) -> Measured:
        """Return the quantity with the edges of each circuit alone.

        Every reader hears of the writers that it isn't connected to in a circuit what these write
        for the corrupted input.

        Args:
            circuits: bool (readers, writers) each.
        """
        clean, corrupted, kept = [], [], []
        for numbers, part in self._parts("circuits"):
            others = self.split.written(part.corrupted)
            first = self.split.run(part.clean)
            asked = self.quantity.rows(numbers).seeing(self._named(part)).resolve(first)
            clean.append(_exact(asked(first)))
            corrupted.append(_exact(asked(self.split.run(part.corrupted))))
            rows = []
            for circuit in circuits:
                with self.split.without(self.split.before & ~circuit, others):
                    rows.append(_exact(asked(self.split.run(part.clean))))
            kept.append(torch.stack(rows))
        return Measured(torch.cat(clean), torch.cat(corrupted), torch.cat(kept, dim=1))

    def _named(self, part: Pairs) -> Any:
        return Call.of(part.clean, (), {}, Accepts.of(self.split.network)).named

    def _parts(self, what: str) -> Iterator[tuple[Tensor, Pairs]]:
        rows = self.run.internal_batch_size or _ROWS
        total = -(-len(self.pairs) // rows)
        yield from progress(
            self.pairs.split(rows), what, total=total, unit="batch", show=self.run.show_progress
        )


def _exact(values: Tensor) -> Tensor:
    return values.detach().double().cpu()


def _of_rows(distribution: Distribution, numbers: Tensor) -> Distribution:
    """Return the distribution around some of the inputs, each with its own partner."""

    def own(start: Any, *, is_set: bool = False) -> Any:
        return start.rows(numbers) if isinstance(start, Inputs) and not is_set else start

    return distribution.numbered(numbers).located(own)

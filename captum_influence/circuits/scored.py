"""All edges of a transformer with what each is estimated to carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.run import Run
from captum_influence.circuits.graph import Graph
from captum_influence.circuits.measuring import Measuring
from captum_influence.circuits.options import CircuitOptions
from captum_influence.circuits.pairs import Pairs, PairsLike
from captum_influence.data.frames import frame
from captum_influence.network.anatomy.split import Split
from captum_influence.network.inputs import network_of
from captum_influence.units.options import check_options, collected
from captum_influence.units.targets import TargetLike, question

__all__ = ["Edges", "edges", "usual_path"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Edges:
    """What each edge is estimated to carry of a quantity.

    Attributes:
        graph: all edges, from writers to readers.
        scores: float64 (readers, writers), zero where there is no edge.
        quantity: what was asked, in words.
        distribution: over which inputs slopes were taken, in words.
    """

    graph: Graph
    scores: Tensor
    quantity: str
    distribution: str

    def __len__(self) -> int:
        """Return how many edges there are."""
        return self.graph.size

    @property
    def names(self) -> tuple[str, ...]:
        """All edges, ``"a0.h1->m1"``, reader by reader in the order in which they run."""
        return tuple(self.graph.edge(r, w) for r, w in self.graph.before.nonzero().tolist())

    @property
    def values(self) -> Tensor:
        """(edges,) their scores, in the order of their names."""
        return self.scores[self.graph.before]

    def strongest(self, k: int) -> dict[str, float]:
        """Return the k edges of the largest absolute scores, and these, largest first."""
        pairs = list(zip(self.names, self.values.tolist(), strict=True))
        return dict(sorted(pairs, key=lambda pair: -abs(pair[1]))[:k])

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per edge.

        Raises:
            ImportError: if pandas isn't installed.
        """
        pairs = [name.split("->") for name in self.names]
        return frame(
            {
                "writer": [writer for writer, _ in pairs],
                "reader": [reader for _, reader in pairs],
                "score": self.values,
            }
        )

    def __repr__(self) -> str:
        """Name the strongest."""
        first = ", ".join(f"{name} {score:+.3g}" for name, score in self.strongest(3).items())
        return f"Edges({len(self)} of {self.quantity}, {self.distribution}: {first}, ...)"


def edges(
    model: nn.Module,
    prompts: PairsLike,
    quantity: TargetLike,
    *,
    distribution: Distribution | None = None,
    recompute_attention: bool = False,
    **options: Unpack[CircuitOptions],
) -> Edges:
    r"""Score all edges from writers to readers of the residual stream in one sweep.

    .. math:: E_{x \sim P}[\partial q / \partial r] \cdot (w(x) - w(x'))

    summed over positions and features, meaned over pairs: positive is what the quantity loses as
    reader r hears of writer w what it writes for the corrupted input. No norm and no attention
    pattern is frozen. :func:`circuit` then runs the best edges alone.

    Args:
        model: a transformer of one residual stream; see :class:`Anatomy`.
        prompts: :class:`Prompts`, or clean and corrupted inputs of equal shapes.
        quantity: what is asked, as by :class:`NextToken`; or a class.
        distribution: P: :class:`Point` is edge attribution patching (Syed et al., 2023), a
            ``LinearPath(Inputs(corrupted), n, rule="riemann_right")`` the same with integrated
            gradients (Hanna et al., 2024); None: that with five points.
        recompute_attention: of edges into queries and keys, compute what their heads give at the
            clean input, its softmax with it, and estimate only what follows (AtP*, Kramár et al.,
            2024): saturated attention has no slope. Takes passes of each block's writers.
        options: see :class:`CircuitOptions`.

    Raises:
        ValueError: if the network can't be read.

    Example:
        >>> from captum_influence.demo import induction_network
        >>> from captum_influence import NextToken, Point
        >>> clean, corrupted = (torch.tensor([ids]) for ids in ([0, 3, 1, 3], [0, 9, 2, 3]))
        >>> found = edges(induction_network(), (clean, corrupted), NextToken(1))
        >>> next(iter(found.strongest(1)))
        'a1.h0->logits'
    """
    check_options("edges", options, CircuitOptions)
    run, pairs = collected("edges", "run", Run, options), Pairs.ensure(prompts)
    over, wanted = usual_path(pairs) if distribution is None else distribution, question(quantity)
    with run.seeded():
        measuring = Measuring(Split.of(network_of(model), pairs.clean), pairs, wanted, run)
        return Edges(
            graph=measuring.graph,
            scores=measuring.edges(over, recompute=recompute_attention),
            quantity=wanted.in_words(),
            distribution=over.in_words(),
        )


def usual_path(pairs: Pairs) -> Distribution:
    """Return the points at which edges are scored by default.

    Edges are scored better by the point alone, one by one, and circuits by a path: what edges do
    together shows between the inputs, not at one of them.
    """
    return LinearPath(Inputs(pairs.corrupted), 5, rule="riemann_right")

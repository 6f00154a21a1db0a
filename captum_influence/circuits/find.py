"""The circuit behind an answer: which edges of a transformer carry it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.run import Run
from captum_influence.circuits.graph import Graph
from captum_influence.circuits.measuring import Measured, Measuring
from captum_influence.circuits.options import CircuitOptions
from captum_influence.circuits.pairs import Pairs, PairsLike
from captum_influence.circuits.result import Circuit, FaithfulnessCurve
from captum_influence.circuits.scored import usual_path
from captum_influence.network.anatomy.split import Split
from captum_influence.network.inputs import network_of
from captum_influence.reports.asked import Asked
from captum_influence.units.options import check_options, collected
from captum_influence.units.targets import TargetLike, question

__all__ = ["circuit"]

_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of all edges, to be tried
_ENOUGH = 0.9  # of what the corruption takes


def circuit(
    model: nn.Module,
    prompts: PairsLike,
    quantity: TargetLike,
    *,
    distribution: Distribution | None = None,
    recompute_attention: bool = False,
    edges: int | None = None,
    sizes: Sequence[int] | None = None,
    controls: int = 20,
    **options: Unpack[CircuitOptions],
) -> Circuit:
    r"""Find the circuit of a quantity, and run the network with its edges alone.

    Heads and perceptrons write to the residual stream, and heads (their queries, keys and values
    each) and perceptrons read it. An edge's score estimates what the quantity loses as this reader
    hears of this writer what it writes for the corrupted input: influence at the reader, on its own
    branch, times the difference of what is written; see :meth:`Measuring.edges`. Then circuits of
    several sizes are run, beside random ones of the same sizes that are connected in the same way.

    Args:
        model: a transformer of one residual stream that norms read but don't write; see
            :class:`Anatomy`. Nothing of it changes.
        prompts: :class:`Prompts`, or clean and corrupted inputs of equal shapes.
        quantity: what is asked, as by :class:`NextToken`; or a class.
        distribution: over which inputs edges are scored; None: five points from the corrupted to
            the clean input, edge attribution patching with integrated gradients. :class:`Point` is
            edge attribution patching.
        recompute_attention: whether edges into queries and keys are scored with the softmax
            computed anew; see :func:`edges`.
        edges: how many the circuit has; None: as many as the smallest of ``sizes`` that brings
            back 90 % of what the corruption takes.
        sizes: numbers of edges to try; None: from one in a hundred to all.
        controls: random circuits for each size.
        options: see :class:`CircuitOptions`.

    Raises:
        ValueError: if the network can't be read, or the quantity is the same for both inputs.

    Example:
        >>> from captum_influence.demo import induction_network
        >>> from captum_influence import NextToken
        >>> model = induction_network()
        >>> clean = torch.tensor([[0, 3, 1, 4, 5, 3]])  # 3 was followed by 1
        >>> corrupted = torch.tensor([[0, 9, 2, 6, 8, 4]])
        >>> found = circuit(model, (clean, corrupted), NextToken(1), edges=5)
        >>> sorted(found.edges)[:3]
        ['a0.h0->a1.h0<k>', 'a1.h0->logits', 'input->a0.h0<v>']
    """
    asked, began = Asked.of(circuit, locals()), time.perf_counter()
    check_options("circuit", options, CircuitOptions)
    run, pairs = collected("circuit", "run", Run, options), Pairs.ensure(prompts)
    network, wanted = network_of(model), question(quantity)
    over = usual_path(pairs) if distribution is None else distribution
    with run.seeded():
        measuring = Measuring(Split.of(network, pairs.clean), pairs, wanted, run)
        graph, scores = measuring.graph, measuring.edges(over, recompute=recompute_attention)
        draws = torch.Generator().manual_seed(run.seed)
        curve = _curve(measuring, scores, _sizes(graph, sizes, edges), controls, draws)
        chosen = graph.connected(scores, edges or curve.smallest(_ENOUGH)) & (scores != 0)
        alone = _alone(measuring, chosen, controls, draws)
    return Circuit(
        asked=asked,
        network=type(network).__name__,
        quantity=wanted.in_words(),
        distribution=over.in_words(),
        graph=graph,
        scores=scores,
        chosen=chosen,
        clean=alone.clean,
        corrupted=alone.corrupted,
        kept=alone.kept[0],
        chance=alone.faithfulness[1:],
        curve=curve,
        others=_kept(pairs.corrupted),
        seconds=time.perf_counter() - began,
    )


def _alone(measuring: Measuring, chosen: Tensor, controls: int, draws: torch.Generator) -> Measured:
    """Run a circuit, and random ones of its size."""
    random = (measuring.graph.random(int(chosen.sum()), draws) for _ in range(controls))
    return measuring.answers([chosen, *random])


def _sizes(graph: Graph, sizes: Sequence[int] | None, edges: int | None) -> tuple[int, ...]:
    """Return the numbers of edges to try, smallest first."""
    shares = [max(round(share * graph.size), 1) for share in _SHARES]
    given = [*(shares if sizes is None else sizes), *([] if edges is None else [edges])]
    wrong = [size for size in given if not 1 <= size <= graph.size]
    if wrong or not given:
        raise ValueError(
            f"expected numbers of edges from 1 to {graph.size}, as many as there are, got {wrong}"
        )
    return tuple(sorted(set(given)))


def _curve(
    measuring: Measuring,
    scores: Tensor,
    sizes: tuple[int, ...],
    controls: int,
    draws: torch.Generator,
) -> FaithfulnessCurve:
    """Run circuits of each size, and random ones."""
    if controls < 1:
        raise ValueError(f"expected at least one random circuit of each size, got {controls}")
    graph = measuring.graph
    circuits = [graph.connected(scores, size) for size in sizes]
    circuits += [graph.random(size, draws) for size in sizes for _ in range(controls)]
    answers = measuring.answers(circuits)
    lost = float(answers.clean.mean() - answers.corrupted.mean())
    if abs(lost) < 1e-9 * max(float(answers.clean.abs().mean()), 1e-30):
        raise ValueError(
            "expected a quantity that the corruption changes, got the same for both: choose other "
            "corrupted inputs, or another quantity"
        )
    found = answers.faithfulness
    own, others = found[: len(sizes)], found[len(sizes) :].reshape(len(sizes), controls)
    return FaithfulnessCurve(sizes=sizes, all_edges=graph.size, own=own, random=others)


def _kept(given: Any) -> dict[str, Tensor]:
    """Return the corrupted inputs as a finding can hold them."""
    named = given if isinstance(given, Mapping) else {"": given}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}

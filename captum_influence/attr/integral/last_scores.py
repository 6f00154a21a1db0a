"""Scores of the last position alone, where a language model can leave the others out."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from captum_influence.attr.integral.problem import Problem
from captum_influence.data.items import Accepts
from captum_influence.network.cuts import Forward
from captum_influence.network.outputs import tensor_of
from captum_influence.network.passes.arguments import Arguments
from captum_influence.network.passes.known import Known

__all__ = ["last_scores_only", "scored_like"]

_KEYWORD = "logits_to_keep"  # of transformers: how many positions, from the end, are scored


def last_scores_only(problem: Problem, forward: Forward) -> Problem:
    """Return the problem with only the last position scored, if that is all that is read.

    Scores of a large vocabulary at each position are most of the memory of a pass. Nothing is
    changed where a layer would then hand on something else, as the last one does.
    """
    slice_ = problem.slice
    reads = all(quantity.reads_end for quantity in problem.quantities)
    if not reads or slice_.measure_at is not None or not _is_free(problem, Accepts.of(forward)):
        return problem
    shorter = replace(problem, arguments=_shorter(problem.arguments))
    key = (
        tuple((x.shape[1:], x.dtype, x.device) for x in problem.inputs),
        tuple((id(c.module), c.side, c.call, str(c.select), id(c.basis)) for c in slice_.cuts),
        frozenset(problem.arguments.bound.keywords),
    )
    same = _known.get(forward, key, lambda: _same(problem, shorter))
    return shorter if same else problem


def scored_like(arguments: Arguments, problem: Problem) -> Arguments:
    """Return other arguments of the problem's network, with as few positions scored as its own."""
    return _shorter(arguments) if _KEYWORD in problem.arguments.bound.keywords else arguments


def _shorter(arguments: Arguments) -> Arguments:
    keywords = {_KEYWORD: 1, **arguments.bound.keywords}
    return replace(arguments, bound=replace(arguments.bound, keywords=keywords))


def _is_free(problem: Problem, accepts: Accepts) -> bool:
    """Return whether the network takes the keyword, and the user has not given it."""
    bound = problem.arguments.bound
    if _KEYWORD not in accepts.names or _KEYWORD in bound.keywords:
        return False
    return len(problem.inputs) + len(bound.given) <= accepts.names.index(_KEYWORD)


def _same(problem: Problem, shorter: Problem) -> bool:
    """Return whether all cuts, and the last scores, are the same of the first example."""
    (cuts, scores), (others, last) = _first(problem), _first(shorter)
    pairs = zip(cuts, others, strict=True)
    alike = all([z.shape for z in a] == [z.shape for z in b] for a, b in pairs)
    fits = scores.ndim == last.ndim == 3 and last.shape[1] == 1
    return alike and fits and torch.allclose(scores[:, -1:], last, rtol=1e-3, atol=1e-5)


def _first(problem: Problem) -> tuple[tuple[tuple[Tensor, ...], ...], Tensor]:
    inputs, bound = problem.one()
    reading = problem.slice.read(inputs, bound, cuts=problem.slice.cuts)
    return reading.cuts, tensor_of(reading.output)


_known: Known[bool] = Known()

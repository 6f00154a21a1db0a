"""The one loop: expected gradients at every cut, for every quantity, in the memory of one block."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.integral.plan import Plan
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.integral.sums import Integral, Sums
from captum_influence.attr.points import Block, Tensors
from captum_influence.attr.quantities import Quantity
from captum_influence.data.bars import bar
from captum_influence.network.cuts import Cut, concatenated, mapped
from captum_influence.network.modes import without_graph
from captum_influence.network.passes.arguments import Bound
from captum_influence.network.passes.memory import freed_memory_kept
from captum_influence.network.passes.seen import Reading, Trace
from captum_influence.network.passes.tangents import Moving, rates

__all__ = ["expected_gradient", "read"]

_log = logging.getLogger(__name__)
_FEW_ROWS = 16
_COMPARED_ROWS = 2  # in full precision too, where it is reduced
_WARNED_ERROR = 0.05


def expected_gradient(problem: Problem, options: Options) -> Integral:
    r"""Return :math:`E_{x \sim P}[\partial q / \partial z]` for every quantity q and cut z.

    Raises:
        RuntimeError: if a cut is not upstream of a quantity.
        ValueError: if a quantity is not one number per row.
    """
    plan, sums = Plan.of(problem, options), Sums(problem)
    chosen = plan.chosen
    rows = chosen.rows
    with freed_memory_kept(chosen.pooled), _progress(problem, options) as update:
        for block in problem.distribution.blocks(problem.origin, chosen.rows):
            for part in block.split(rows):
                if chosen.precision is not None and not sums.begun:
                    error = _error(problem, plan, part)
                    chosen = replace(chosen, relative_error=error)
                rows = min(rows, _add_block(problem, plan, sums, part, frozenset()))
            update(len(block))
    return sums.integral(replace(chosen, rows=rows))


def _error(problem: Problem, plan: Plan, block: Block) -> float:
    """Return how far a few points of a block are from themselves in full precision.

    That is the largest relative L2 distance, over all quantities and tensors of cuts.
    """
    few = block.spread(_COMPARED_ROWS)
    reduced, full = Sums(problem), Sums(problem)
    _add_block(problem, plan, reduced, few, frozenset())
    _add_block(problem, plan.exact(), full, few, frozenset())
    pairs = zip(reduced.sums, full.sums, strict=True)
    error = max(
        float((a - b).norm() / b.norm().clamp(min=torch.finfo(b.dtype).tiny))
        for both in pairs
        for a, b in zip(*both, strict=True)
    )
    if error > _WARNED_ERROR:
        warnings.warn(
            f"in bfloat16 the first points are {error:.0%} away from full precision (relative L2 "
            "distance): leave out precision= where that is too much",
            stacklevel=2,
        )
    return error


def _add_block(
    problem: Problem, plan: Plan, sums: Sums, block: Block, done: frozenset[object]
) -> int:
    """Add a block to the sums, in halves if memory doesn't suffice; return the rows that fitted.

    ``done`` names what has been added of it before memory ran out.
    """
    added: set[object] = set(done)
    try:
        _add_terms(problem, plan, sums, block, added)
    except torch.cuda.OutOfMemoryError:
        if len(block) == 1:
            raise
        _log.info("out of memory with %d rows: going on with half as many", len(block))
    else:
        return len(block)
    halves = block.split((len(block) + 1) // 2)
    return min(_add_block(problem, plan, sums, half, frozenset(added)) for half in halves)


def _add_terms(problem: Problem, plan: Plan, sums: Sums, block: Block, added: set[object]) -> None:
    """Run a block once and add the terms of every quantity that is not ``added`` yet."""
    inputs, bound = problem.bound(plan.laid_out(block))
    with plan.running(inputs[0].device):
        trace = problem.slice.trace(inputs, bound, block.points, block.examples)
    trace = replace(trace, output=plan.seen(trace.output))
    _check_rows(problem.slice.cuts, trace, len(block))
    values = [_value(quantity, block, trace.output) for quantity in problem.quantities]
    if not added and not sums.begun:
        _check_own(problem, block, trace, values)
    displacement, anchored = _displacement(problem, block, inputs, bound)
    for which, grads in plan.gradients(problem.slice.cuts, trace, values, block):
        if str(which) in added:
            continue
        if displacement is not None:
            grads = tuple(grad * d for grad, d in zip(grads, displacement, strict=True))
        sums.add(which, block, grads)
        added.add(str(which))
    sums.add_rows(block, trace.like[: len(problem.cuts)], anchored)


def read(
    problem: Problem,
    inputs: Tensors,
    options: Options,
    *,
    cuts: Sequence[Cut] = (),
    overwrite: Mapping[Cut, Tensors] | None = None,
    record: bool = False,
    cuts_only: bool = False,
) -> Reading:
    """Run examples through without a graph, a few at a time.

    ``record``: also read ``sample_at``, first, and remember what ran before it;
    ``cuts_only``: the output isn't needed.
    """
    readings, whole = [], problem.slice.probe(inputs, problem.arguments, options.rows).output
    for examples in torch.split(torch.arange(len(inputs[0])), options.rows or _FEW_ROWS):
        span = slice(int(examples[0]), int(examples[-1]) + 1)
        part, arguments = tuple(x[span] for x in inputs), problem.arguments.part(examples)
        if record:
            readings.append(problem.slice.record(part, arguments, cuts=cuts))
            continue
        new = {cut: tuple(t[span] for t in tensors) for cut, tensors in (overwrite or {}).items()}
        replay = examples if problem.slice.sample_at in new else None
        bound = arguments.rows(torch.arange(len(examples)))
        readings.append(
            problem.slice.read(
                part, bound, cuts=cuts, overwrite=new, examples=replay, cuts_only=cuts_only
            )
        )
    columns = zip(*[reading.cuts for reading in readings], strict=True)
    layers = tuple(concatenated(column) for column in columns)
    outputs = [reading.output for reading in readings]
    return Reading(layers, None if outputs[0] is None else whole.joined(outputs))


def _displacement(
    problem: Problem, block: Block, inputs: Tensors, bound: Bound
) -> tuple[Tensors | None, Tensor | None]:
    """Return what each row's gradient is multiplied by, and the quantities at the anchors.

    That is, if it differs from point to point: dz/dα along the path, or z(x) - z(anchor), of
    anchors of the points' own. Otherwise displacements are not our business.
    """
    if problem.activations is None and not problem.along:
        return None, None
    anchors, values = _at_anchors(problem, block, inputs, bound)
    if problem.along:
        moving = Moving(inputs, bound, block.examples, block.points, problem.directions(block))
        moved = rates(problem.slice, problem.cuts, moving)
        return tuple(z for cut in moved for z in cut), values
    activations = [z for cut in problem.activations or () for z in cut]
    here = tuple(z[block.examples.to(z.device)] for z in activations)
    if anchors is None:
        return here, None
    return tuple(z - anchor for z, anchor in zip(here, anchors, strict=True)), values


def _at_anchors(
    problem: Problem, block: Block, inputs: Tensors, bound: Bound
) -> tuple[Tensors | None, Tensor | None]:
    """Return the activations and the quantities (quantities, rows) at the anchors, if any."""
    if block.anchors is None:
        return None, None
    sample_at = problem.slice.sample_at
    overwrite = {} if sample_at is None else {sample_at: block.anchors}
    entering = block.anchors if sample_at is None else inputs
    reading = problem.slice.read(
        entering, bound, cuts=problem.cuts, overwrite=overwrite, examples=block.examples
    )
    values = [_value(quantity, block, reading.output).double() for quantity in problem.quantities]
    return tuple(z for cut in reading.cuts for z in cut), torch.stack(values)


def _value(quantity: Quantity, block: Block, output: Any) -> Tensor:
    values = quantity.rows(block.examples)(output)
    if not isinstance(values, Tensor) or values.shape != (len(block),):
        came = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"{type(quantity).__name__} must return one number per row, shape ({len(block)},), "
            f"got {came}: reduce all dimensions but the first"
        )
    return values


def _check_own(problem: Problem, block: Block, trace: Trace, values: Sequence[Tensor]) -> None:
    """Ask the last row's quantities of that row alone: they mustn't depend on the others."""
    found, asked = problem.slice.layout, zip(problem.quantities, values, strict=True)
    pairs = [(q, v) for q, v in asked if found.mixes or not _picks_entries(q)]
    if not found.has_rows or not pairs:
        return
    last = torch.tensor([len(block) - 1])
    with without_graph():
        own = found.taken(mapped(Tensor.detach, trace.output), last)
        for quantity, together in pairs:
            try:
                alone = quantity.rows(block.examples[last])(own)
            except Exception as error:
                raise _mixed(quantity, f"{type(error).__name__}: {error}") from error
            there = together.detach()[last.to(together.device)]
            if alone.shape != there.shape or not torch.allclose(
                alone, there, rtol=1e-2, atol=1e-6, equal_nan=True
            ):
                raise _mixed(quantity, "another value")


def _picks_entries(quantity: Quantity) -> bool:
    terms = getattr(quantity, "terms", ((1.0, quantity),))  # of a sum
    return all(term.picks_entries for _, term in terms)


def _mixed(quantity: Quantity, came: str) -> ValueError:
    return ValueError(
        f"expected {type(quantity).__name__} to give each row the same alone as among others, got "
        f"{came} for a row alone: it must not mix rows, nor hold tensors per example that it "
        "doesn't hand out; use Loss(loss_fn, labels), ClassScore([...]), or a Quantity with rows()"
    )


def _check_rows(cuts: Sequence[Cut], trace: Trace, rows: int) -> None:
    for cut, tensors in zip(cuts, trace.like, strict=True):
        for tensor in tensors:
            if tensor.ndim == 0 or len(tensor) != rows:
                raise ValueError(
                    f"expected examples in the first dimension of the {cut}, that is {rows} rows, "
                    f"got shape {tuple(tensor.shape)}: use batch_first=True, or a layer that "
                    "keeps the batch apart"
                )


@contextmanager
def _progress(problem: Problem, options: Options) -> Iterator[Callable[[int], object]]:
    """Yield what is told of the rows that are done."""
    if not options.show_progress:  # a bar that isn't shown takes its time too
        yield lambda rows: None
        return
    size = problem.distribution.size
    total = None if size is None else size * problem.examples
    with bar("influence", total=total, unit="row") as shown:
        yield shown.update

"""From a question to its answer: what is read beforehand, and what is made of the integral."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from captum_influence.attr.integral.accuracy import Estimate, estimated, norms, with_standard_error
from captum_influence.attr.integral.engine import read
from captum_influence.attr.integral.execution import Computation
from captum_influence.attr.integral.problem import Layers, Options, Problem
from captum_influence.attr.integral.sums import Integral
from captum_influence.attr.points import Tensors
from captum_influence.network.passes.arguments import Arguments
from captum_influence.network.passes.seen import Reading

__all__ = ["Answer", "Question", "Start", "StartAtLayer", "answer", "by_cut"]

Start = tuple[Tensors, Arguments]  # inputs, and the further arguments beside them


@runtime_checkable
class StartAtLayer(Protocol):
    """Where displacements start at the layer itself, as what a removal puts there."""

    def like(self, activations: Tensor) -> Tensor:
        """Return it for a batch's activations (examples, ...), broadcastable to their shape."""


@dataclass(frozen=True, eq=False)
class Question:
    """A problem whose origin is not known yet, and what is wanted of its integral.

    Attributes:
        problem: the integral; its ``origin`` and resolved quantities are filled in here.
        options: how to compute it.
        multiply: multiply by displacements.
        reference: inputs where displacements start, in place of the distribution's own, and the
            network's further arguments beside them.
        starts: what starts displacements at each cut itself, in place of both.
        along: multiply by how fast z moves along the path, point by point, in place of all three.
        delta: also the completeness deltas.
        standard_error: also the standard errors.
        error_estimate: also the nested estimates of the quadrature error.
        points: also how many points each example took.
    """

    problem: Problem
    options: Options
    multiply: bool = False
    reference: Start | None = None
    starts: Sequence[StartAtLayer] | None = None
    along: bool = False
    delta: bool = False
    standard_error: bool = False
    error_estimate: bool = False
    points: bool = False

    def __post_init__(self) -> None:
        if self.standard_error and self.error_estimate:
            raise ValueError(
                "a distribution either draws, and has a standard error, or follows a path, and "
                "has an error estimate: ask for one of them"
            )
        if self.delta and not self.multiply:
            raise ValueError(
                "return_convergence_delta needs multiply_by_inputs=True: plain influences don't "
                "sum to a difference of the quantity"
            )
        if self.delta and self.problem.gates:
            raise ValueError(
                "expected no through= beside return_convergence_delta: what goes through some "
                "units is a part of the difference of the quantity, so leave one of them out"
            )
        if self.along:
            self._check_path()
        if self.starts is not None and (self.delta or self.reference is not None):
            raise ValueError(
                "displacements that start at the layer have no input where they start, and no "
                "delta: leave out return_convergence_delta and reference=, or displacement="
            )

    def _check_path(self) -> None:
        path = self.problem.distribution
        if not path.is_path:
            raise ValueError(
                'displacement="along" follows a path on which each point moves from a start to '
                f"the input, got {type(path).__name__}, whose points don't move: give "
                'LinearPath(baseline), or ask for displacement="end"'
            )
        if self.reference is not None:
            raise ValueError(
                'displacement="along" starts where the path starts, got a reference= beside it: '
                "leave it out, and give it to the path, as by LinearPath(reference)"
            )


@dataclass(frozen=True, eq=False)
class Answer:
    """What came out, for every tensor of every cut in turn, (quantities, examples, ...).

    ``tensors`` tells how many tensors each cut has; ``deltas`` and ``estimates`` hold one
    (quantities, examples) per cut; ``points`` is (examples,); ``chosen`` is how it was computed.
    """

    attributions: Tensors
    errors: Tensors
    deltas: tuple[Tensor, ...]
    estimates: tuple[Tensor, ...]
    points: Tensor
    tensors: tuple[int, ...]
    chosen: Computation


def answer(question: Question) -> Answer:
    """Read what is needed of the explained instances, integrate, multiply, compare."""
    problem, rows = question.problem, question.options.rows
    problem.slice.probe(problem.inputs, problem.arguments, rows)
    explained, question = _explained(question)
    # Along a path the start is only asked for the quantity there.
    asked = question.multiply and (question.delta or not question.along)
    start = _start(question) if asked else None
    anchored = question.multiply and start is None and _has_anchors(question)
    estimate = _estimate(question, explained.cuts if anchored else None)
    integral = estimate.integral
    attributions, variances, change = integral.sums, estimate.variances, estimate.change
    if question.multiply and not anchored and not question.along:
        displacement = _displacement(explained, start, question.starts)
        attributions, change = (
            _products(attributions, displacement),
            _products(change, displacement),
        )
        variances = _products(variances, [d**2 for d in displacement])
    _check_numbers(question, attributions, integral.tensors)
    deltas = _deltas(question, attributions, explained, start, integral) if question.delta else ()
    errors = [variance.clamp(min=0).sqrt() for variance in variances]
    return Answer(
        _cast(attributions, integral.dtypes),
        _cast(errors, integral.dtypes),
        deltas,
        tuple(norms(c) for c in by_cut(change, integral.tensors)) if change else (),
        estimate.points,
        integral.tensors,
        integral.chosen,
    )


def _explained(question: Question) -> tuple[Reading, Question]:
    """Run the explained instances once, if anything about them has to be known."""
    problem, sample_at = question.problem, question.problem.slice.sample_at
    curious = any(quantity.needs_reference for quantity in problem.quantities)
    if sample_at is None and not curious and not question.multiply:
        return Reading((), None), replace(question, problem=replace(problem, origin=problem.inputs))
    cuts = problem.cuts if question.multiply else ()
    inner = sample_at is not None
    reading = read(problem, problem.inputs, question.options, cuts=cuts, record=inner)
    problem = replace(
        problem,
        origin=reading.cuts[0] if inner else problem.inputs,
        quantities=tuple(quantity.resolve(reading.output) for quantity in problem.quantities),
    )
    explained = Reading(reading.cuts[int(inner) :], reading.output)
    return explained, replace(question, problem=problem)


def _start(question: Question) -> Reading | None:
    """Read the activations where displacements start; None: at zero, or at the points' anchors."""
    problem, sample_at = question.problem, question.problem.slice.sample_at
    cuts, options = problem.cuts, question.options
    if question.starts is not None:
        return None
    if question.reference is not None:
        inputs, arguments = question.reference
        return read(replace(problem, arguments=arguments), inputs, options, cuts=cuts)
    reference = problem.distribution.reference(problem.origin)
    if reference is None:
        return None
    if sample_at is None:
        return read(problem, reference, options, cuts=cuts)
    overwrite = {sample_at: reference}
    return read(problem, problem.inputs, options, cuts=cuts, overwrite=overwrite)


def _estimate(question: Question, activations: Layers | None) -> Estimate:
    problem = replace(question.problem, activations=activations, along=question.along)
    if question.standard_error:
        return with_standard_error(problem, question.options)
    return estimated(problem, question.options, coarse=question.error_estimate)


def _has_anchors(question: Question) -> bool:
    """Return whether displacements start at the points' own anchors, unless it is said where."""
    return question.problem.distribution.is_anchored and question.starts is None


def _displacement(
    explained: Reading, start: Reading | None, starts: Sequence[StartAtLayer] | None
) -> list[Tensor]:
    if starts is not None:
        pairs = zip(explained.cuts, starts, strict=True)
        return [z - begin.like(z) for cut, begin in pairs for z in cut]
    here = [z for cut in explained.cuts for z in cut]
    if start is None:
        return here
    begins = [z for cut in start.cuts for z in cut]
    return [z - begin for z, begin in zip(here, begins, strict=True)]


def _products(left: Tensors, right: Sequence[Tensor]) -> Tensors:
    return tuple(a * b for a, b in zip(left, right, strict=False))


def _cast(tensors: Iterable[Tensor], dtypes: Sequence[torch.dtype]) -> Tensors:
    return tuple(t.to(dtype).contiguous() for t, dtype in zip(tensors, dtypes, strict=False))


def _deltas(
    question: Question,
    attributions: Tensors,
    explained: Reading,
    start: Reading | None,
    integral: Integral,
) -> tuple[Tensor, ...]:
    """Return sum of attributions - (q(x) - q(start)) at each cut, (quantities, examples)."""
    ends = _values(question, explained)
    deltas = []
    for c, tensors in enumerate(by_cut(attributions, integral.tensors)):
        begins = _begins(question, explained, start, integral, c)
        sums = [t.double().reshape(*t.shape[:2], -1).sum(dim=2) for t in tensors]
        deltas.append(torch.stack(sums).sum(dim=0) - (ends - begins))
    return tuple(deltas)


def _begins(
    question: Question, explained: Reading, start: Reading | None, integral: Integral, c: int
) -> Tensor:
    """Return the quantities where displacements start: at anchors, and at zero without one."""
    if start is not None:
        return _values(question, start)
    at_zero = 1 - integral.anchored_weight
    if integral.anchored is None:
        return _values(question, _at_zero(question, explained, c))
    begins = integral.anchored.to(explained.cuts[c][0].device)
    if at_zero < 1e-6:
        return begins
    return begins + at_zero * _values(question, _at_zero(question, explained, c))


def by_cut(tensors: Sequence[Tensor], counts: Sequence[int]) -> list[Tensors]:
    """Group a flat sequence of tensors into one tuple for each cut."""
    remaining = iter(tensors)
    return [tuple(islice(remaining, count)) for count in counts]


def _values(question: Question, reading: Reading) -> Tensor:
    examples = torch.arange(question.problem.examples)
    quantities = question.problem.quantities
    return torch.stack([q.rows(examples)(reading.output).double() for q in quantities])


def _at_zero(question: Question, explained: Reading, c: int) -> Reading:
    """Run the explained instances with the activations at one cut set to zero."""
    problem = question.problem
    zeros = tuple(torch.zeros_like(z) for z in explained.cuts[c])
    return read(problem, problem.inputs, question.options, overwrite={problem.slice.cuts[c]: zeros})


def _check_numbers(question: Question, attributions: Tensors, counts: Sequence[int]) -> None:
    groups = by_cut(attributions, counts)
    for cut, tensors in zip(question.problem.cuts, groups, strict=True):
        if any(bool(torch.isnan(t).any()) for t in tensors):
            raise RuntimeError(
                f"the influence at the {cut} holds NaN: look for NaN weights, for an overflow "
                "(half precision?), or for a function without a gradient there (sqrt or norm at 0)"
            )

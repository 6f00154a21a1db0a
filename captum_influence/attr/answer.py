"""From a question to its answer: what is read beforehand, and what is made of the integral."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from captum_influence.attr.distributions import Distribution, Mixture
from captum_influence.attr.engine import (
    Integral,
    Layers,
    Options,
    Problem,
    expected_gradient,
    read,
)
from captum_influence.attr.points import Tensors, Values, values_like
from captum_influence.attr.slices import Reading

__all__ = ["Answer", "Question", "answer", "by_cut", "expanded"]


@dataclass(frozen=True, eq=False)
class Question:
    """A problem whose origin is not known yet, and what is wanted of its integral.

    Attributes:
        problem: the integral; its ``origin`` and resolved quantities are filled in here.
        options: how to compute it.
        multiply: multiply by displacements.
        reference: inputs where displacements start, in place of the distribution's own.
        delta: also the completeness deltas.
        standard_error: also the standard errors.
    """

    problem: Problem
    options: Options
    multiply: bool = False
    reference: Values | None = None
    delta: bool = False
    standard_error: bool = False

    def __post_init__(self) -> None:
        if self.delta and not self.multiply:
            raise ValueError(
                "return_convergence_delta needs multiply_by_inputs=True: plain influences don't "
                "sum to a difference of the quantity"
            )


@dataclass(frozen=True, eq=False)
class Answer:
    """What came out, for every tensor of every cut in turn, (quantities, examples, ...).

    ``tensors`` tells how many tensors each cut has; ``deltas`` holds one (quantities, examples)
    per cut.
    """

    attributions: Tensors
    errors: Tensors
    deltas: tuple[Tensor, ...]
    tensors: tuple[int, ...]


def answer(question: Question) -> Answer:
    """Read what is needed of the explained instances, integrate, multiply, compare."""
    explained, question = _explained(question)
    start = _start(question) if question.multiply else None
    anchored = question.multiply and start is None and question.problem.distribution.is_anchored
    integral, variances = _integral(question, explained.cuts if anchored else None)
    attributions = integral.sums
    if question.multiply and not anchored:
        displacement = _displacement(explained, start)
        attributions = _products(attributions, displacement)
        variances = _products(variances, [d**2 for d in displacement])
    deltas = _deltas(question, attributions, explained, start, integral) if question.delta else ()
    _check_numbers(question, attributions, integral.tensors)
    return Answer(
        _cast(attributions, integral.dtypes),
        _cast([variance.clamp(min=0).sqrt() for variance in variances], integral.dtypes),
        deltas,
        integral.tensors,
    )


def expanded(values: Values, inputs: Tensors, name: str) -> Tensors:
    """Return a value per input (a number, one example, or as many) as tensors like the inputs."""
    tensors = values_like(values, inputs, name)
    return tuple(value.expand_as(x) for value, x in zip(tensors, inputs, strict=True))


def _explained(question: Question) -> tuple[Reading, Question]:
    """Run the explained instances once, if anything about them has to be known."""
    problem, sample_at = question.problem, question.problem.slice.sample_at
    curious = any(quantity.needs_reference for quantity in problem.quantities)
    if sample_at is None and not curious and not question.multiply:
        return Reading((), None), replace(question, problem=replace(problem, origin=problem.inputs))
    cuts = problem.slice.cuts if question.multiply else ()
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
    cuts, options = problem.slice.cuts, question.options
    if question.reference is not None:
        inputs = expanded(question.reference, problem.inputs, "reference")
        return read(problem, inputs, options, cuts=cuts)
    reference = problem.distribution.reference(problem.origin)
    if reference is None:
        return None
    if sample_at is None:
        return read(problem, reference, options, cuts=cuts)
    overwrite = {sample_at: reference}
    return read(problem, problem.inputs, options, cuts=cuts, overwrite=overwrite)


def _integral(question: Question, activations: Layers | None) -> tuple[Integral, Tensors]:
    """Return the integral, and the variances of its sums if standard errors are asked for."""
    problem = replace(question.problem, activations=activations)
    if not question.standard_error:
        return expected_gradient(problem, question.options), ()
    strata = problem.distribution.strata()
    if not any(part.is_random for _, part in strata):
        raise ValueError(
            f"{type(problem.distribution).__name__} draws nothing, so it has no standard error; "
            "use Noise, Baselines or Samples, or leave return_standard_error out"
        )
    parts = []
    for share, part in strata:
        anchored = part if activations is None else Mixture([(1.0, part)])
        integral = expected_gradient(
            replace(problem, distribution=anchored, squares=True), question.options
        )
        parts.append((share, integral, _variances(integral, part, problem.examples)))
    return _mixed([(share, integral) for share, integral, _ in parts]), _weighted_sum(
        [(share**2, variances) for share, _, variances in parts]
    )


def _variances(integral: Integral, part: Distribution, examples: int) -> Tensors:
    """Return the variance of a mean of n equally weighted draws from its sums of terms g / n."""
    n = integral.rows // examples
    if not part.is_random:
        return tuple(torch.zeros_like(total) for total in integral.sums)
    if n < 2:
        raise ValueError("a standard error needs at least 2 draws, got 1: raise n")
    both = zip(integral.squares, integral.sums, strict=True)
    return tuple((n * squares - total**2) / (n - 1) for squares, total in both)


def _mixed(parts: Sequence[tuple[float, Integral]]) -> Integral:
    anchored = [share * part.anchored for share, part in parts if part.anchored is not None]
    return replace(
        parts[0][1],
        sums=_weighted_sum([(share, part.sums) for share, part in parts]),
        anchored=torch.stack(anchored).sum(dim=0) if anchored else None,
        anchored_weight=sum(share * part.anchored_weight for share, part in parts),
    )


def _weighted_sum(parts: Sequence[tuple[float, Tensors]]) -> Tensors:
    columns = zip(*[[share * t for t in tensors] for share, tensors in parts], strict=True)
    return tuple(torch.stack(column).sum(dim=0) for column in columns)


def _displacement(explained: Reading, start: Reading | None) -> list[Tensor]:
    here = [z for cut in explained.cuts for z in cut]
    if start is None:
        return here
    begins = [z for cut in start.cuts for z in cut]
    return [z - begin for z, begin in zip(here, begins, strict=True)]


def _products(left: Tensors, right: Sequence[Tensor]) -> Tensors:
    return tuple(a * b for a, b in zip(left, right, strict=False))


def _cast(tensors: Iterable[Tensor], dtypes: Sequence[torch.dtype]) -> Tensors:
    return tuple(tensor.to(dtype) for tensor, dtype in zip(tensors, dtypes, strict=False))


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
    for cut, tensors in zip(question.problem.slice.cuts, groups, strict=True):
        if any(bool(torch.isnan(t).any()) for t in tensors):
            raise RuntimeError(
                f"the influence at the {cut} holds NaN: look for NaN weights, for an overflow "
                "(half precision?), or for a function without a gradient there (sqrt or norm at 0)"
            )

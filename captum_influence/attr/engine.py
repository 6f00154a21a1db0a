"""The one loop: expected gradients at every cut, for every quantity, in the memory of one block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_influence.attr.cuts import Cut
from captum_influence.attr.distributions import Distribution
from captum_influence.attr.points import Block, Tensors
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.slices import Reading, Slice, Trace

__all__ = ["Integral", "Options", "Problem", "expected_gradient", "read", "rows_that_fit"]

Layers = tuple[Tensors, ...]  # one tuple of tensors for each cut


@dataclass(frozen=True, eq=False)
class Options:
    """How the integral is computed; nothing here changes the result."""

    rows: int
    grad_kwargs: Mapping[str, Any] = field(default_factory=dict)
    show_progress: bool = False


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be integrated.

    Attributes:
        slice: the network, cut and open.
        distribution: where the points lie around ``origin``.
        quantities: what is differentiated, resolved.
        inputs: the network's inputs, each (examples, ...).
        extra: its further arguments; a tensor with ``examples`` rows is handed out to the rows.
        origin: the explained instances where points enter, each (examples, ...).
        activations: z(x) at each cut, if each point's gradient shall be multiplied by the
            displacement from the point's own anchor.
        squares: whether squared terms are summed too.
    """

    slice: Slice
    distribution: Distribution
    quantities: Sequence[Quantity]
    inputs: Tensors
    extra: tuple[Any, ...] = ()
    origin: Tensors = ()
    activations: Layers | None = None
    squares: bool = False

    @property
    def examples(self) -> int:
        return len(self.inputs[0])

    def rows(self, value: Any, block: Block) -> Any:
        """Return what the rows of a block see of an argument of the network."""
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != self.examples:
            return value
        if self.examples == 1:
            return value.expand(len(block), *value.shape[1:])
        return value[block.examples.to(value.device)]

    def arguments(self, block: Block) -> tuple[Tensors, tuple[Any, ...]]:
        """Return the inputs and further arguments for the rows of a block."""
        if self.slice.sample_at is None:
            inputs = block.points
        else:
            inputs = tuple(self.rows(x, block) for x in self.inputs)
        return inputs, tuple(self.rows(argument, block) for argument in self.extra)


@dataclass(frozen=True, eq=False)
class Integral:
    """Weighted sums over the points.

    Attributes:
        sums: for every tensor of every cut in turn, (quantities, examples, ...).
        squares: the sums of squared terms, shaped like ``sums``; empty if not asked for.
        anchored: the weighted sum of each quantity at the anchors, (quantities, examples); None
            if there were no anchors.
        dtypes: of the layers' own tensors.
        tensors: how many tensors each cut has.
        rows: how many (example, point) rows were run.
    """

    sums: Tensors
    squares: Tensors
    anchored: Tensor | None
    dtypes: tuple[torch.dtype, ...]
    tensors: tuple[int, ...]
    rows: int


def expected_gradient(problem: Problem, options: Options) -> Integral:
    r"""Return :math:`E_{x \sim P}[\partial q / \partial z]` for every quantity q and cut z.

    Raises:
        RuntimeError: if a cut is not upstream of a quantity.
        ValueError: if a quantity is not one number per row.
    """
    sums = _Sums(problem)
    with _progress(problem, options) as bar:
        for block in problem.distribution.blocks(problem.origin, options.rows):
            inputs, extra = problem.arguments(block)
            trace = problem.slice.trace(inputs, extra, block.points)
            _check_rows(problem.slice.cuts, trace, len(block))
            displacement = _displacement(problem, block, inputs, extra, sums)
            for k, quantity in enumerate(problem.quantities):
                values = _value(quantity, block, trace.output)
                keep = k < len(problem.quantities) - 1
                grads = _gradients(problem.slice, trace, values, block, options, keep=keep)
                sums.add(k, block, grads, displacement)
            sums.rows += len(block)
            bar.update(len(block))
    return sums.integral(tuple(len(cut) for cut in trace.like))


def read(
    problem: Problem,
    inputs: Tensors,
    options: Options,
    *,
    cuts: Sequence[Cut] = (),
    overwrite: Mapping[Cut, Tensors] | None = None,
) -> Reading:
    """Run examples through without a graph, at most ``options.rows`` of them at a time."""
    count = len(inputs[0])
    readings = []
    for start in range(0, count, options.rows):
        span = slice(start, start + options.rows)
        extra = tuple(_span(argument, span, count) for argument in problem.extra)
        new = {cut: tuple(t[span] for t in tensors) for cut, tensors in (overwrite or {}).items()}
        part = tuple(x[span] for x in inputs)
        readings.append(problem.slice.read(part, extra, cuts=cuts, overwrite=new))
    layers = [_concatenated([reading.cuts[c] for reading in readings]) for c in range(len(cuts))]
    return Reading(tuple(layers), _concatenated([reading.output for reading in readings]))


def rows_that_fit(problem: Problem) -> int:
    """Return how many rows run fastest at once: 48 MB of the largest activation, 8 to 64 rows."""
    inputs = tuple(x[:1] for x in problem.inputs)
    extra = tuple(_span(argument, slice(0, 1), problem.examples) for argument in problem.extra)
    largest = max(problem.slice.largest_activation(inputs, extra), 1)
    return min(max(_BLOCK_BYTES // largest, 8), 64)


_BLOCK_BYTES = 48 * 2**20


class _Sums:
    """Adds up weighted terms by example as they come, in float32 or better."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._sums: Tensors = ()
        self._squares: Tensors = ()
        self._anchored: Tensor | None = None
        self._dtypes: tuple[torch.dtype, ...] = ()
        self.rows = 0

    def add(self, k: int, block: Block, grads: Tensors, displacement: Tensors | None) -> None:
        if not self._sums:
            self._dtypes = tuple(grad.dtype for grad in grads)
            self._sums = tuple(self._zeros(grad) for grad in grads)
            self._squares = tuple(self._zeros(g) for g in grads) if self._problem.squares else ()
        if displacement is not None:
            grads = tuple(grad * d for grad, d in zip(grads, displacement, strict=True))
        for total, term in zip(self._sums, grads, strict=True):
            _add(total[k], block, term)
        for total, term in zip(self._squares, grads, strict=False):
            _add(total[k], block, term.to(total.dtype) ** 2)

    def add_anchored(self, block: Block, output: Any) -> None:
        shape = (len(self._problem.quantities), self._problem.examples)
        if self._anchored is None:
            self._anchored = torch.zeros(shape, dtype=torch.float64)
        for k, quantity in enumerate(self._problem.quantities):
            values = _value(quantity, block, output).detach().double().cpu()
            _add(self._anchored[k], block, values * block.weights)

    def _zeros(self, like: Tensor) -> Tensor:
        dtype = torch.promote_types(like.dtype, torch.float32)
        dtype = torch.float64 if self._problem.squares else dtype
        shape = (len(self._problem.quantities), self._problem.examples, *like.shape[1:])
        return torch.zeros(shape, dtype=dtype, device=like.device)

    def integral(self, tensors: tuple[int, ...]) -> Integral:
        return Integral(self._sums, self._squares, self._anchored, self._dtypes, tensors, self.rows)


def _add(total: Tensor, block: Block, term: Tensor) -> None:
    total.index_add_(0, block.examples.to(total.device), term.to(total.dtype))


def _displacement(
    problem: Problem, block: Block, inputs: Tensors, extra: tuple[Any, ...], sums: _Sums
) -> Tensors | None:
    """Return z(x) - z(anchor) for every row, if the anchors differ from point to point."""
    if problem.activations is None:
        return None
    activations = [z for cut in problem.activations for z in cut]
    here = tuple(z[block.examples.to(z.device)] for z in activations)
    if block.anchors is None:
        return here
    sample_at = problem.slice.sample_at
    overwrite = {} if sample_at is None else {sample_at: block.anchors}
    entering = block.anchors if sample_at is None else inputs
    reading = problem.slice.read(entering, extra, cuts=problem.slice.cuts, overwrite=overwrite)
    sums.add_anchored(block, reading.output)
    anchors = [z for cut in reading.cuts for z in cut]
    return tuple(z - anchor for z, anchor in zip(here, anchors, strict=True))


def _value(quantity: Quantity, block: Block, output: Any) -> Tensor:
    values = quantity.rows(block.examples)(output)
    if not isinstance(values, Tensor) or values.shape != (len(block),):
        came = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"{type(quantity).__name__} must return one number per row, shape ({len(block)},), "
            f"got {came}: reduce all dimensions but the first"
        )
    return values


def _gradients(
    slice_: Slice, trace: Trace, values: Tensor, block: Block, options: Options, *, keep: bool
) -> Tensors:
    """Return the weighted gradients of the values at every cut, zero where there is no path."""
    edges = [edge for cut in trace.edges for edge in cut]
    keywords = {"retain_graph": keep or None, **options.grad_kwargs}
    lenient = bool(keywords.pop("allow_unused", False) or keywords.pop("materialize_grads", False))
    found: Sequence[Tensor | None] = [None] * len(edges)
    if values.requires_grad:
        weights = block.weights.to(values)
        found = torch.autograd.grad(values, edges, weights, allow_unused=True, **keywords)
    if not lenient:
        _check_connected(slice_.cuts, trace, found)
    like = [z for cut in trace.like for z in cut]
    return tuple(torch.zeros_like(z) if g is None else g for g, z in zip(found, like, strict=True))


def _check_connected(cuts: Sequence[Cut], trace: Trace, found: Sequence[Tensor | None]) -> None:
    remaining = iter(found)
    for cut, edges in zip(cuts, trace.edges, strict=True):
        if all(grad is None for grad in [next(remaining) for _ in edges]):
            raise RuntimeError(
                f"the {cut} is not upstream of the quantity: no gradient reaches it. Measure a "
                "quantity that depends on it, or check that the network doesn't detach it or run "
                "under no_grad"
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


def _span(value: Any, span: slice, count: int) -> Any:
    if isinstance(value, Tensor) and value.ndim > 0 and len(value) == count:
        return value[span]
    return value


def _concatenated(parts: Sequence[Any]) -> Any:
    """Join what consecutive passes returned along the examples."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Tensor):
        return torch.cat(list(parts)) if first.ndim else first
    if isinstance(first, Mapping):
        return {key: _concatenated([part[key] for part in parts]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(_concatenated(column) for column in zip(*parts, strict=True))
    if is_dataclass(first) and not isinstance(first, type):
        names = list(first.__dataclass_fields__)
        joined = {name: _concatenated([getattr(p, name) for p in parts]) for name in names}
        return replace(first, **joined)
    return first


def _progress(problem: Problem, options: Options) -> tqdm[Any]:
    size = problem.distribution.size
    total = None if size is None else size * problem.examples
    return tqdm(total=total, unit="row", desc="influence", disable=not options.show_progress)

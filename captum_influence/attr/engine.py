"""The one loop: expected gradients at every cut, for every quantity, in the memory of one block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from captum_influence.attr.cuts import Cut, concatenated
from captum_influence.attr.distributions import Distribution
from captum_influence.attr.execution import Execution
from captum_influence.attr.points import Block, Tensors, column
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.slices import Reading, Slice, Trace

__all__ = ["Integral", "Layers", "Options", "Plan", "Problem", "expected_gradient", "read"]

Layers = tuple[Tensors, ...]  # one tuple of tensors for each cut


@dataclass(frozen=True, eq=False)
class Options:
    """How the integral is computed; nothing here changes the result."""

    rows: int | None = None  # None: as many as run fastest
    grad_kwargs: Mapping[str, Any] = field(default_factory=dict)
    show_progress: bool = False
    execution: Execution = field(default_factory=Execution)


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
        coarse: whether every third point, weighing three times as much, is summed too.
    """

    slice: Slice
    distribution: Distribution
    quantities: Sequence[Quantity]
    inputs: Tensors
    extra: tuple[Any, ...] = ()
    origin: Tensors = ()
    activations: Layers | None = None
    squares: bool = False
    coarse: bool = False

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

    def one(self) -> tuple[Tensors, tuple[Any, ...]]:
        """Return the inputs and further arguments of the first example."""
        first = slice(0, 1)
        extra = tuple(_span(argument, first, self.examples) for argument in self.extra)
        return tuple(x[first] for x in self.inputs), extra


@dataclass(frozen=True, eq=False)
class Integral:
    """Weighted sums over the points.

    Attributes:
        sums: for every tensor of every cut in turn, (quantities, examples, ...).
        squares: the sums of squared terms, shaped like ``sums``; empty if not asked for.
        coarse: the sums by a third of the points, likewise.
        anchored: the weighted sum of each quantity at the anchors, (quantities, examples); None
            if there were no anchors.
        anchored_weight: the weight of the points that had an anchor.
        dtypes: of the layers' own tensors.
        tensors: how many tensors each cut has.
        rows: how many (example, point) rows were run.
    """

    sums: Tensors
    squares: Tensors
    coarse: Tensors
    anchored: Tensor | None
    anchored_weight: float
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
    plan = Plan.of(problem, options)
    with _progress(problem, options) as bar:
        for block in problem.distribution.blocks(problem.origin, plan.rows):
            block = block.channels_last() if plan.channels_last else block
            inputs, extra = problem.arguments(block)
            trace = problem.slice.trace(inputs, extra, block.points, block.examples)
            _check_rows(problem.slice.cuts, trace, len(block))
            values = [_value(quantity, block, trace.output) for quantity in problem.quantities]
            displacement = _displacement(problem, block, inputs, extra, sums)
            for which, grads in plan.gradients(problem.slice.cuts, trace, values, block):
                sums.add(which, block, grads, displacement)
            sums.rows += len(block)
            bar.update(len(block))
    return sums.integral(trace.like)


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
    count = len(inputs[0])
    readings = []
    for examples in torch.split(torch.arange(count), options.rows or _FEW_ROWS):
        span = slice(int(examples[0]), int(examples[-1]) + 1)
        extra = tuple(_span(argument, span, count) for argument in problem.extra)
        part = tuple(x[span] for x in inputs)
        if record:
            readings.append(problem.slice.record(part, extra, cuts=cuts))
            continue
        new = {cut: tuple(t[span] for t in tensors) for cut, tensors in (overwrite or {}).items()}
        replay = examples if problem.slice.sample_at in new else None
        readings.append(
            problem.slice.read(
                part, extra, cuts=cuts, overwrite=new, examples=replay, cuts_only=cuts_only
            )
        )
    columns = zip(*[reading.cuts for reading in readings], strict=True)
    layers = tuple(concatenated(column) for column in columns)
    return Reading(layers, concatenated([reading.output for reading in readings]))


_FEW_ROWS = 16
_BLOCK_BYTES = 48 * 2**20


@dataclass(frozen=True, eq=False)
class Plan:
    """How many rows go through at once, and how the quantities share a pass."""

    rows: int
    batched: bool
    channels_last: bool
    grad_kwargs: Mapping[str, Any]

    @staticmethod
    def of(problem: Problem, options: Options) -> Plan:
        """Size the blocks by the largest activation of one row: 48 MB of it, 8 to 64 rows.

        Quantities are batched where that many gradients of the activations behind the cuts
        take no more memory than a block.
        """
        sizes = problem.slice.sizes(*problem.one())
        rows = options.rows or min(max(_BLOCK_BYTES // max(sizes.anywhere, 1), 8), 64)
        count = len(problem.quantities)
        small = count * rows * sizes.behind_cuts <= _BLOCK_BYTES
        wish = options.execution.quantities
        return Plan(
            rows,
            count > 1 and (small if wish == "auto" else wish == "batched"),
            options.execution.memory_format == "channels_last",
            options.grad_kwargs,
        )

    def gradients(
        self, cuts: Sequence[Cut], trace: Trace, values: Sequence[Tensor], block: Block
    ) -> Iterator[tuple[int | slice, Tensors]]:
        """Yield the weighted gradients of each quantity, or of all of them in one batch."""
        if self.batched:
            yield slice(None), self._gradients(cuts, trace, torch.stack(list(values)), block)
            return
        for k, value in enumerate(values):
            keep = k < len(values) - 1
            yield k, self._gradients(cuts, trace, value, block, retain_graph=keep or None)

    def _gradients(
        self,
        cuts: Sequence[Cut],
        trace: Trace,
        values: Tensor,
        block: Block,
        *,
        retain_graph: bool | None = None,
    ) -> Tensors:
        edges = [edge for cut in trace.edges for edge in cut]
        keywords = dict(self.grad_kwargs)
        keywords["retain_graph"] = retain_graph or keywords.get("retain_graph")
        lenient = [keywords.pop(name, False) for name in ("allow_unused", "materialize_grads")]
        like = [z for cut in trace.like for z in cut]
        # In half precision small weights would make gradients vanish: there they come after.
        late = any(torch.finfo(z.dtype).bits < 32 for z in (values, *like))
        weights = (torch.ones_like(block.weights) if late else block.weights).to(values)
        found: Sequence[Tensor | None] = [None] * len(edges)
        if values.ndim == 2:
            weights = torch.eye(len(values)).to(values).unsqueeze(2) * weights
            keywords["is_grads_batched"] = True
        if values.requires_grad:
            found = torch.autograd.grad(values, edges, weights, allow_unused=True, **keywords)
        if not any(lenient):
            _check_connected(cuts, trace, found)
        pairs = [
            (torch.zeros_like(z.expand(*values.shape[:-1], *z.shape)) if g is None else g, z)
            for g, z in zip(found, like, strict=True)
        ]
        return tuple(g.float() * column(block.weights, z.float()) if late else g for g, z in pairs)


class _Sums:
    """Adds up weighted terms by example as they come, in float32 or better."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._sums: Tensors = ()
        self._squares: Tensors = ()
        self._coarse: Tensors = ()
        self._anchored: Tensor | None = None
        self._anchored_weight = 0.0
        self.rows = 0

    def add(
        self, which: int | slice, block: Block, grads: Tensors, displacement: Tensors | None
    ) -> None:
        """Add the terms of one quantity, (rows, ...), or of all, (quantities, rows, ...)."""
        batched = isinstance(which, slice)
        if not self._sums:
            like = [grad[0] if batched else grad for grad in grads]
            self._sums = tuple(self._zeros(z) for z in like)
            self._squares = tuple(self._zeros(z) for z in like) if self._problem.squares else ()
            self._coarse = tuple(self._zeros(z) for z in like) if self._problem.coarse else ()
        if displacement is not None:
            grads = tuple(grad * d for grad, d in zip(grads, displacement, strict=True))
        for total, term in zip(self._sums, grads, strict=True):
            _add(total[which], block, term, dim=int(batched))
        for total, term in zip(self._squares, grads, strict=False):
            _add(total[which], block, term.to(total.dtype) ** 2, dim=int(batched))
        third = 3.0 * (block.numbers % 3 == 1)
        for total, term in zip(self._coarse, grads, strict=False):
            weight = third.to(term).reshape(-1, *[1] * (term.ndim - 1 - int(batched)))
            _add(total[which], block, term * weight, dim=int(batched))

    def add_anchored(self, block: Block, output: Any) -> None:
        shape = (len(self._problem.quantities), self._problem.examples)
        if self._anchored is None:
            self._anchored = torch.zeros(shape, dtype=torch.float64)
        self._anchored_weight += float(block.weights.sum()) / self._problem.examples
        for k, quantity in enumerate(self._problem.quantities):
            values = _value(quantity, block, output).detach().double().cpu()
            _add(self._anchored[k], block, values * block.weights)

    def _zeros(self, like: Tensor) -> Tensor:
        dtype = torch.promote_types(like.dtype, torch.float32)
        dtype = torch.float64 if self._problem.squares else dtype
        shape = (len(self._problem.quantities), self._problem.examples, *like.shape[1:])
        return torch.zeros(shape, dtype=dtype, device=like.device)

    def integral(self, like: Layers) -> Integral:
        return Integral(
            self._sums,
            self._squares,
            self._coarse,
            self._anchored,
            self._anchored_weight,
            tuple(z.dtype for cut in like for z in cut),
            tuple(len(cut) for cut in like),
            self.rows,
        )


def _add(total: Tensor, block: Block, term: Tensor, dim: int = 0) -> None:
    total.index_add_(dim, block.examples.to(total.device), term.to(total.dtype))


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
    reading = problem.slice.read(
        entering, extra, cuts=problem.slice.cuts, overwrite=overwrite, examples=block.examples
    )
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


def _progress(problem: Problem, options: Options) -> tqdm[Any]:
    size = problem.distribution.size
    total = None if size is None else size * problem.examples
    return tqdm(total=total, unit="row", desc="influence", disable=not options.show_progress)

"""What is to be integrated, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.integral.execution import Execution
from captum_influence.attr.points import Block, Tensors
from captum_influence.attr.quantities import Quantity
from captum_influence.network.slices import Slice

__all__ = ["Layers", "Options", "Problem", "span_of"]

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
        return value.index_select(0, block.examples.to(value.device))

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
        extra = tuple(span_of(argument, first, self.examples) for argument in self.extra)
        return tuple(x[first] for x in self.inputs), extra


def span_of(value: Any, span: slice, count: int) -> Any:
    """Return the examples of a span, if the value holds one entry for each of ``count``."""
    if isinstance(value, Tensor) and value.ndim > 0 and len(value) == count:
        return value[span]
    return value

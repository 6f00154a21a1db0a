"""What is to be integrated, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.integral.execution import Execution
from captum_influence.attr.points import Block, Tensors
from captum_influence.attr.quantities import Quantity
from captum_influence.network.cuts import Cut
from captum_influence.network.passes.arguments import Arguments, Bound
from captum_influence.network.slices import Slice

__all__ = ["Layers", "Options", "Problem"]

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
        arguments: its further arguments.
        origin: the explained instances where points enter, each (examples, ...).
        activations: z(x) at each cut, if each point's gradient shall be multiplied by the
            displacement from the point's own anchor.
        along: whether each point's gradient shall be multiplied by how fast z moves as the point
            moves along its path.
        gates: of the last cuts of the slice, which units gradients must pass, (...) bool each;
            to these nothing is attributed.
        squares: whether squared terms are summed too.
        coarse: whether every third point, weighing three times as much, is summed too.
    """

    slice: Slice
    distribution: Distribution
    quantities: Sequence[Quantity]
    inputs: Tensors
    arguments: Arguments = field(default_factory=Arguments)
    origin: Tensors = ()
    activations: Layers | None = None
    along: bool = False
    gates: Tensors = ()
    squares: bool = False
    coarse: bool = False

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Where it is attributed."""
        return self.slice.cuts[: len(self.slice.cuts) - len(self.gates)]

    @property
    def examples(self) -> int:
        return len(self.inputs[0])

    def bound(self, block: Block) -> tuple[Tensors, Bound]:
        """Return the inputs and further arguments for the rows of a block."""
        if self.slice.sample_at is None:
            inputs = block.points
        else:
            inputs = tuple(_rows(x, block.examples) for x in self.inputs)
        return inputs, self.arguments.rows(block.examples)

    def directions(self, block: Block) -> Tensors:
        """Return how the points of a block move along their straight paths, (rows, ...) each."""
        start = block.anchors
        if start is None:
            reference = self.distribution.reference(self.origin) or ()
            start = tuple(_rows(b, block.examples) for b in reference)
        ends = (_rows(x, block.examples) for x in self.origin)
        return tuple(end - begin for end, begin in zip(ends, start, strict=True))

    def one(self) -> tuple[Tensors, Bound]:
        """Return the inputs and further arguments of the first example."""
        first = torch.zeros(1, dtype=torch.long)
        return tuple(x[:1] for x in self.inputs), self.arguments.rows(first)


def _rows(x: Tensor, examples: Tensor) -> Tensor:
    """Return the rows of these examples; a single example is not copied."""
    if len(x) == 1:
        return x.expand(len(examples), *x.shape[1:])
    return x.index_select(0, examples.to(x.device))

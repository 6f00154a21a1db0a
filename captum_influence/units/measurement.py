"""One question put to one network at one layer, measured on any batch by the public measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.origins import at_start, first_floats
from captum_influence.attr.quantities import Quantity, Unit
from captum_influence.attr.run import Run
from captum_influence.network.cuts import Cut
from captum_influence.network.reading import activations, one_tensor, output_of
from captum_influence.reports.shown import Focus
from captum_influence.units.axes import Axis, Selector
from captum_influence.units.ranking import By, UnitValues
from captum_influence.units.replacement import Replacement
from captum_influence.units.units_of import UnitsOf

__all__ = ["Answer", "Measurement", "answered", "answered_at_start"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network says of a batch, and the quantity there.

    Attributes:
        output: what it returns.
        value: (examples,) the quantity.
        quantity: fixed on the output: "the predicted class" is now this class.
    """

    output: Any
    value: Tensor
    quantity: Quantity


def answered(model: nn.Module, inputs: Tensor, quantity: Quantity) -> Answer:
    """Return a network's output for a batch, and the quantity there."""
    output = output_of(model, inputs)
    fixed = quantity.resolve(output)
    return Answer(output, fixed(output).detach(), fixed)


def answered_at_start(
    model: nn.Module, inputs: Tensor, distribution: Distribution, quantity: Quantity
) -> Answer | None:
    """Return a network's answer where a distribution starts; None if it starts nowhere.

    Args:
        model: the network.
        inputs: the explained ones.
        distribution: over which inputs.
        quantity: resolved on the explained inputs.
    """
    there = at_start(model, inputs, distribution)
    if there is None:
        return None
    return Answer(there.output, quantity(there.output).detach(), quantity)


@dataclass(frozen=True, eq=False)
class Measurement:
    """One question put to one network at one layer, ready to be measured on any batch.

    Attributes:
        model: the network.
        units: of which layer, and what one of them is.
        quantity: what is asked, resolved on the explained instance.
        distribution: over which inputs.
        by: influences, or contributions: influences times displacements.
        focus: whether maps show what raises the quantity through a unit, or what raises the unit.
        run: how it is run.
        replacement: what displacements count from: what a removal would put in a unit's place.
            None: the activations at the distribution's reference.
    """

    model: nn.Module
    units: UnitsOf
    quantity: Quantity
    distribution: Distribution
    by: By = "contribution"
    focus: Focus = "quantity"
    run: Run = field(default_factory=Run)
    replacement: Replacement | None = None

    @property
    def cut(self) -> Cut:
        """Where the units are."""
        return self.units.cut

    def values(self, inputs: Tensor) -> tuple[Tensor, float | None]:
        """Return what each unit did (examples, ...), and along a path the first's delta."""
        return self._measured(inputs, self.by == "contribution")

    def _measured(self, inputs: Tensor, multiply: bool) -> tuple[Tensor, float | None]:
        complete = multiply and self.replacement is None  # contributions that add up
        measure = DistributionalInfluence(
            self.model,
            self.cut,
            distribution=self.distribution,
            quantity=self.quantity,
            multiply_by_inputs=multiply,
            displacement=self.replacement or "end",
        )
        found = measure.attribute(
            inputs,
            internal_batch_size=self.run.internal_batch_size,
            return_convergence_delta=complete,
            show_progress=self.run.show_progress,
        )
        values, delta = (found[0], float(found[1][0])) if complete else (found, None)
        tensors = values if isinstance(values, tuple) else (values,)
        return one_tensor(tensors, self.cut), delta

    def pooled(self, inputs: Tensor) -> tuple[UnitValues, float | None]:
        """Return what each unit did, with their activations, and the delta."""
        values, delta = self.values(inputs)
        axis = self.units.along(tuple(values.shape[1:]), self.model, inputs)
        here, aggregate = activations(self.model, inputs, self.cut), self.units.aggregate
        there = self._reference(inputs, here) if self.by == "contribution" else None
        return UnitValues.pooled(values, axis, aggregate, here, there), delta

    def _reference(self, inputs: Tensor, here: Tensor) -> Tensor | None:
        """Return the activations that displacements count from; None: zero."""
        if self.replacement is not None:
            return self.replacement.like(here).expand_as(here)
        start = at_start(self.model, inputs, self.distribution, self.cut)
        return None if start is None else one_tensor(start.cuts[0], self.cut)

    def maps(
        self,
        inputs: Tensor,
        axis: Axis,
        indices: Sequence[tuple[int, ...]],
        over: Distribution | None = None,
    ) -> Tensor:
        """Return what each entry of one input does to or through each unit: (units, ...).

        Of token ids, what the entries of their embedding do.

        All units are answered in one pass: a second slice, from the input to the layer.

        Args:
            inputs: one input, (1, ...).
            axis: what tells units apart.
            indices: which units.
            over: from which inputs to the layer; None: those of the question.
        """
        selectors = [axis.selector(index) for index in indices]
        measure = DistributionalInfluence(
            self.model,
            first_floats(self.model, inputs),
            distribution=over or self.distribution,
            quantity=self._meanings(inputs, selectors),
            measure_at=self.cut,
            multiply_by_inputs=self.by == "contribution",
        )
        found: Tensor = measure.attribute(
            inputs,
            internal_batch_size=self.run.internal_batch_size,
            show_progress=self.run.show_progress,
        )
        exact = found.to(torch.promote_types(found.dtype, torch.float32))
        return exact[:, 0].cpu()  # (units, examples, ...) before

    def _meanings(self, inputs: Tensor, selectors: Sequence[Selector]) -> list[Quantity]:
        if self.focus == "unit":
            reduce = self.units.aggregate
            return [Unit(cast(Any, selector), reduce=reduce) for selector in selectors]
        influences, _ = self._measured(inputs, multiply=False)
        return [_Through(selector, influences[0]) for selector in selectors]


@dataclass(frozen=True, eq=False)
class _Through(Quantity):
    """A unit's entries, each weighed by its own influence on what is asked: what it passes on.

    A channel may be active in many places and matter in few; without the weights, a map of the
    channel shows them all.
    """

    selector: Selector
    influences: Tensor

    def __call__(self, output: Any) -> Tensor:
        everything: Selector = (slice(None),)
        entries = cast(Tensor, output)[everything + self.selector]
        weighed = entries * self.influences[self.selector]
        return weighed.reshape(len(entries), -1).sum(dim=1)

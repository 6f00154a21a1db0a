"""What units do together, of one layer or of several: measured, not added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import PredictedClass, Quantity
from captum_influence.data.labels import Names
from captum_influence.experts.combinations.result import Combination
from captum_influence.experts.expert import Expert
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.interventions import intervene
from captum_influence.network.reading import activations
from captum_influence.units.axes import Axis
from captum_influence.units.measurement import answered
from captum_influence.units.ranking import JointRanking, UnitInfluence
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.selection import Selection

__all__ = ["combine"]

Layer = str | Cut | nn.Module


def combine(
    model: nn.Module,
    inputs: Tensor,
    units: Mapping[Layer, Any] | JointRanking | Sequence[UnitInfluence],
    *,
    quantity: Quantity | Callable[[Any], Tensor] | int | None = None,
    replace: Replace | Replacement = 0,
    reference: Iterable[Any] | None = None,
    distribution: Distribution | None = None,
    class_names: Names = None,
    seed: int = 0,
) -> Combination:
    r"""Measure what units do together, by running the network without all of them at once.

    .. math:: \Delta(S) = q(x) - q(x \text{ with the units of } S \text{ replaced})

    for the whole set (``joint``) and for each unit (``alone``). Units of a later layer are replaced
    whatever the earlier ones do to them.

    Args:
        model: the network.
        inputs: (examples, ...), as it takes them.
        units: from each layer to its units, named as :class:`Expert` takes them; or units that know
            their layer, as :func:`rank_units` returns them for several.
        quantity: what to ask; an int is a class; None: the predicted class.
        replace: what takes the place of removed units, see :class:`Expert`.
        reference: a loader of images for ``"mean"`` and ``"resample"``. One batch of one baseline
            gives the activations at that baseline.
        distribution: if given, contributions are also measured over it (``along_path``). They count
            from its reference: compare them where that is what ``replace`` puts there.
        class_names: a name for each class.
        seed: of ``"resample"``.

    Raises:
        ValueError: if there are no units, or a layer or unit isn't there.

    Example:
        >>> from captum_influence.demo.handwired import redundant_units
        >>> wired = redundant_units()
        >>> found = combine(wired.model, wired.inputs, {"units": [0, 1]}, quantity=0)
        >>> found.joint.tolist(), found.added.tolist()
        ([1.0, 0.5], [0.0, 0.5])
    """
    asked = PredictedClass() if quantity is None else Quantity.ensure(quantity)
    answer = answered(model, inputs, asked)
    members = []
    for layer, chosen in _by_layer(units).items():
        replacement = Replacement.ensure(replace, model, Cut.ensure(layer), reference, seed)
        members.append(_Members.of(model, layer, chosen, replacement, inputs))
    measured = _Measured(model, inputs, answer.quantity, answer.value)
    single = [one for each in members for one in each.single()]
    return Combination(
        tuple(one.names[0] for one in single),
        measured.quantity.in_words(class_names),
        answer.value,
        measured.fall(members),
        torch.stack([measured.fall([one]) for one in single], dim=1),
        None if distribution is None else measured.along(members, distribution),
    )


@dataclass(frozen=True, eq=False)
class _Members:
    """The units of the set that are in one layer."""

    model: nn.Module
    cut: Cut
    selection: Selection
    names: tuple[str, ...]
    replacement: Replacement

    @staticmethod
    def of(
        model: nn.Module, layer: Layer, chosen: Any, replacement: Replacement, inputs: Tensor
    ) -> _Members:
        """Find them in the network."""
        cut, selection = Cut.ensure(layer), Selection.ensure(chosen)
        if len(set(selection.indices)) < len(selection):
            raise ValueError(f"expected each unit of the {cut} once, got {selection.indices}")
        if not len(selection):
            raise ValueError(f"expected at least one unit of the {cut} to remove, got none")
        shape = tuple(activations(model, inputs[:1], cut).shape[1:])
        axis = Axis.ensure(selection.axis, shape, selection.heads)
        name = layer_name(model, cut)
        names = tuple(_name(axis, index, name) for index in selection.indices)
        return _Members(model, cut, Selection(selection.indices, axis), names, replacement)

    def single(self) -> list[_Members]:
        """Return each unit as a set of its own."""
        both = zip(self.selection.indices, self.names, strict=True)
        return [
            _Members(
                self.model,
                self.cut,
                Selection((index,), self.selection.axis),
                (name,),
                self.replacement,
            )
            for index, name in both
        ]

    def removed(self) -> Expert:
        """Return the block in which they are removed."""
        return Expert(self.model, self.cut, self.selection, "remove", self.replacement)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep gradients from passing through them within the block; their values stay."""
        with intervene(self.model, self.cut, self._detached):
            yield

    def _detached(self, activations: Tensor) -> Tensor:
        mask = self.selection.mask(tuple(activations.shape[1:])).to(activations.device)
        return torch.where(mask, activations.detach(), activations)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over them of values (examples, ...)."""
        mask = self.selection.mask(tuple(values.shape[1:])).to(values.device)
        return torch.where(mask, values, 0).flatten(1).sum(dim=1)


@dataclass(frozen=True, eq=False)
class _Measured:
    """A question put to a network about some inputs, and the answer when nothing is removed."""

    model: nn.Module
    inputs: Tensor
    quantity: Quantity
    value: Tensor

    def fall(self, members: Sequence[_Members]) -> Tensor:
        """Return how far the quantity falls, (examples,), when they are all removed."""
        with ExitStack() as stack, torch.no_grad():
            for each in members:
                stack.enter_context(each.removed())
            return self.value - self.quantity(self.model(self.inputs))

    def along(self, members: Sequence[_Members], distribution: Distribution) -> Tensor:
        """Return their contributions (examples,), each counted at the last unit that it passes."""
        total = torch.zeros_like(self.value)
        ordered = self._in_order(members)
        for place, each in enumerate(ordered):
            measure = DistributionalInfluence(
                self.model,
                each.cut,
                distribution=distribution,
                quantity=self.quantity,
                multiply_by_inputs=True,
            )
            with ExitStack() as stack:
                for later in ordered[place + 1 :]:
                    stack.enter_context(later.held())
                total = total + each.total(measure.attribute(self.inputs))
        return total

    def _in_order(self, members: Sequence[_Members]) -> list[_Members]:
        """Return them in the order in which the network runs their layers."""
        order: list[_Members] = []

        def seen(each: _Members) -> Callable[[Tensor], Tensor]:
            def look(activations: Tensor) -> Tensor:
                order.append(each)
                return activations

            return look

        with ExitStack() as stack, torch.no_grad():
            for each in members:
                stack.enter_context(intervene(self.model, each.cut, seen(each)))
            self.model(self.inputs[:1])
        return order


def _by_layer(units: Any) -> dict[Layer, Any]:
    """Return a mapping from layers to their units."""
    if isinstance(units, JointRanking):
        return {
            name: Selection(tuple(unit.index for unit in units if unit.layer == name), ranking.axis)
            for name, ranking in units.layers.items()
            if any(unit.layer == name for unit in units)
        }
    if isinstance(units, Mapping):
        found = dict(units)
    else:
        found = {}
        for unit in units:
            layer = getattr(unit, "layer", None)
            if layer is None:
                raise ValueError(
                    "expected units that know their layer, or a mapping from layers to units, got "
                    f"{getattr(unit, 'name', type(unit).__name__)} without one"
                )
            found.setdefault(layer, []).append(unit)
    if not found:
        raise ValueError("expected at least one unit to remove, got none")
    return found


def _name(axis: Axis, index: tuple[int, ...], layer: str) -> str:
    """Return what to call a unit; an index into every dimension is a single neuron's."""
    along = len(index) == len(axis.sizes)
    kind, label = (axis.name, axis.label(index)) if along else ("neuron", None)
    return UnitInfluence(kind, index, 0.0, 0.0, label=label, layer=layer).name

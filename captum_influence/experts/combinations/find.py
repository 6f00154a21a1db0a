"""What units do together, of one layer or of several: measured, not added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.labels import Names
from captum_influence.experts.combinations.result import Combination
from captum_influence.experts.expert import Expert
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.inputs import network_of
from captum_influence.network.interventions import intervene
from captum_influence.network.modes import without_graph
from captum_influence.network.outputs import Output
from captum_influence.network.reading import activations
from captum_influence.reports.asked import Asked
from captum_influence.units.measurement import answered
from captum_influence.units.options import check_options, collected
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import Replace, Replacement, at_baseline
from captum_influence.units.result import JointRanking
from captum_influence.units.selection import Selection
from captum_influence.units.targets import TargetLike, question

__all__ = ["CombinationOptions", "combine"]

Layer = str | Cut | nn.Module
Units = Mapping[Layer, Any] | JointRanking | Sequence[UnitInfluence]


class CombinationOptions(TypedDict, total=False):
    """What :func:`combine` takes by keyword besides.

    ``loader`` yields the images that ``replace="mean"`` and ``"resample"`` are taken from; one
    batch of one baseline gives the activations at that baseline. ``seed`` is that of
    ``"resample"``, ``internal_batch_size`` that of the contributions along a distribution.
    """

    loader: Iterable[Any] | None
    class_names: Names
    internal_batch_size: int | None
    seed: int
    show_progress: bool
    output: Output
    run: Run


def combine(
    model: nn.Module,
    inputs: Tensor,
    units: Units,
    target: TargetLike = None,
    *,
    versus: int | str | None = None,
    quantity: TargetLike = None,
    replace: Replace | Replacement | None = None,
    distribution: Distribution | None = None,
    **options: Unpack[CombinationOptions],
) -> Combination:
    r"""Measure what units do together, by running the network without all of them at once.

    .. math:: \Delta(S) = q(x) - q(x \text{ with the units of } S \text{ replaced})

    for the whole set (``joint``) and for each unit (``alone``). Units of a later layer are replaced
    whatever the earlier ones do to them. Beside it, what gradients say of the joint removal
    (``estimate``): the units' contributions, counted from what takes their place.

    Args:
        model: the network.
        inputs: (examples, ...), as it takes them.
        units: from each layer to its units, named as :class:`Expert` takes them; or units that know
            their layer, as :func:`rank_units` returns them for several.
        target: the class to ask about, by number or name, or a quantity; None: the predicted class.
        versus: another class: why the target rather than this one?
        quantity: the same as ``target``.
        replace: what takes the place of removed units, see :class:`Expert`; ``"mean"`` and
            ``"resample"`` are those of the ``loader``. None: the mean with a ``loader``, else zero.
        distribution: over which inputs contributions are averaged; None: at the input. Those along
            a path count from its baseline, unless ``replace`` is given.
        options: see :class:`CombinationOptions`.

    Raises:
        ValueError: if there are no units, or a layer or unit isn't there.

    Example:
        >>> from captum_influence.demo.handwired import redundant_units
        >>> wired = redundant_units()
        >>> found = combine(wired.model, wired.inputs, {"units": [0, 1]}, 0)
        >>> found.joint.tolist(), found.added.tolist()
        ([1.0, 0.5], [0.0, 0.5])
    """
    asked, began = Asked.of(combine, locals()), time.perf_counter()
    check_options("combine", options, CombinationOptions)
    run: Run = collected("combine", "run", Run, options)
    network, names = network_of(model, run.output), options.get("class_names")
    wanted = question(target, versus=versus, quantity=quantity, names=names)
    with run.seeded():
        answer = answered(network, inputs, wanted)
        put = _Put(replace, options.get("loader"), run.seed)
        members = _members(network, inputs, units, put)
        measured = _Measured(network, inputs, answer.quantity, answer.value, run)
        single = [one for each in members for one in each.single()]
        joint, alone = measured.fall(members), [measured.fall([one]) for one in single]
        over = Point() if distribution is None else distribution
        estimate = measured.estimate(members, over, replace)
    return Combination(
        asked=asked,
        network=type(network).__name__,
        layers=tuple(layer_name(network, each.cut) for each in members),
        units=tuple(one.names[0] for one in single),
        quantity=answer.quantity.in_words(names),
        value=answer.value,
        joint=joint,
        alone=torch.stack(alone, dim=1),
        estimate=estimate,
        distribution=over.in_words(),
        replaced_by=members[0].replacement.in_words(),
        seconds=time.perf_counter() - began,
    )


def _members(network: nn.Module, inputs: Tensor, units: Units, put: _Put) -> list[_Members]:
    """Return the units of the set by their layers."""
    places = ((Cut.ensure(layer), chosen) for layer, chosen in _by_layer(units).items())
    return [_Members.of(network, cut, chosen, put, inputs) for cut, chosen in places]


@dataclass(frozen=True, eq=False)
class _Put:
    """What takes the place of removed units, as it is said of all layers."""

    replace: Replace | Replacement | None
    loader: Iterable[Any] | None
    seed: int

    def at(self, model: nn.Module, cut: Cut) -> Replacement:
        """Return it for one layer."""
        return Replacement.with_loader(self.replace, model, cut, self.loader, self.seed)


@dataclass(frozen=True, eq=False)
class _Members:
    """The units of the set that are in one layer."""

    model: nn.Module
    cut: Cut
    selection: Selection
    names: tuple[str, ...]
    replacement: Replacement

    @staticmethod
    def of(model: nn.Module, cut: Cut, chosen: Any, put: _Put, inputs: Tensor) -> _Members:
        """Find them in the network."""
        selection = Selection.ensure(chosen)
        if len(set(selection.indices)) < len(selection):
            raise ValueError(f"expected each unit of the {cut} once, got {selection.indices}")
        if not len(selection):
            raise ValueError(f"expected at least one unit of the {cut} to remove, got none")
        shape = tuple(activations(model, inputs[:1], cut).shape[1:])
        selection = selection.at(shape, model, cut, inputs)
        names = tuple(unit.name for unit in selection.units(shape, layer_name(model, cut)))
        return _Members(model, cut, selection, names, put.at(model, cut))

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
    run: Run

    def fall(self, members: Sequence[_Members]) -> Tensor:
        """Return how far the quantity falls, (examples,), when they are all removed."""
        with ExitStack() as stack, without_graph():
            for each in members:
                stack.enter_context(each.removed())
            # A clone: the network may begin in place.
            return self.value - self.quantity(self.model(self.inputs.clone()))

    def estimate(
        self,
        members: Sequence[_Members],
        over: Distribution,
        replace: Replace | Replacement | None,
    ) -> Tensor:
        """Return their contributions (examples,), each counted at the last unit that it passes.

        Args:
            members: the units.
            over: which inputs.
            replace: what was said to take their place.
        """
        from_baseline = at_baseline(replace, over, self.inputs)
        total = torch.zeros_like(self.value)
        ordered = self._in_order(members)
        for place, each in enumerate(ordered):
            measure = DistributionalInfluence(
                self.model,
                each.cut,
                distribution=over,
                quantity=self.quantity,
                multiply_by_inputs=True,
                displacement="end" if from_baseline else each.replacement,
            )
            with ExitStack() as stack:
                for later in ordered[place + 1 :]:
                    stack.enter_context(later.held())
                found = measure.attribute(
                    self.inputs,
                    internal_batch_size=self.run.internal_batch_size,
                    show_progress=self.run.show_progress,
                )
            total = total + each.total(found)
        return total

    def _in_order(self, members: Sequence[_Members]) -> list[_Members]:
        """Return them in the order in which the network runs their layers."""
        order: list[_Members] = []

        def seen(each: _Members) -> Callable[[Tensor], Tensor]:
            def look(activations: Tensor) -> Tensor:
                order.append(each)
                return activations

            return look

        with ExitStack() as stack, without_graph():
            for each in members:
                stack.enter_context(intervene(self.model, each.cut, seen(each)))
            self.model(self.inputs[:1].clone())
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

"""Routes: units of layers on the way that gradients must pass through."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from captum_influence.attr.integral.problem import Problem
from captum_influence.network.axes import Layouts
from captum_influence.network.cuts import Cut, refuse_shared

__all__ = ["NamesUnits", "Step", "gates"]


@runtime_checkable
class NamesUnits(Protocol):
    """Units that know their axis, as a :class:`Selection` does."""

    def along(self, shape: tuple[int, ...], channel: int | None) -> Any:
        """Return them in a layer of which this dimension counts channels."""

    def mask(self, shape: tuple[int, ...]) -> Tensor:
        """Return a layer's (...) bool tensor, True at these units."""


@dataclass(frozen=True, eq=False)
class Step:
    """A layer on the way, and which of its units are passed.

    Attributes:
        cut: where.
        units: channel numbers, index tuples of single neurons, a bool tensor like one example's
            activations, or what knows its axis: a :class:`Selection`.
    """

    cut: Cut
    units: Any

    @staticmethod
    def all_of(through: Any) -> tuple[Step, ...]:
        """Return what ``through=`` names; None: nothing.

        Raises:
            TypeError: if it isn't a list of pairs.
        """
        if through is None:
            return ()
        listed = through if isinstance(through, list | tuple) else [through]
        return tuple(Step._of(pair) for pair in listed)

    @staticmethod
    def _of(pair: Any) -> Step:
        if isinstance(pair, Step):
            return pair
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                "expected through= as a list of pairs of a layer and its units, as "
                f'[("layer3", [5, 8])], got a {type(pair).__name__} in it'
            )
        layer, units = pair
        if hasattr(layer, "selected"):  # UnitsOf knows what counts as a unit
            layer, units = layer.cut, layer.selected(units)
        cut = Cut.ensure(layer)
        refuse_shared(cut)
        return Step(cut, [units] if isinstance(units, int) else units)

    def mask(self, shape: tuple[int, ...], channel: int | None) -> Tensor:
        """Return a layer's (...) bool tensor, True at the units that are passed.

        Args:
            shape: of one example's activations.
            channel: the dimension that counts channels, the examples' being 0; None: nobody knows.

        Raises:
            TypeError: if they are no units.
            ValueError: if the layer has no such unit.
        """
        if isinstance(self.units, Tensor) and self.units.dtype == torch.bool:
            if self.units.shape != shape:
                raise ValueError(
                    f"expected a mask of units at the {self.cut} of shape {shape}, as one "
                    f"example's activations have, got {tuple(self.units.shape)}"
                )
            return self.units
        if isinstance(self.units, NamesUnits):
            found: Tensor = self.units.along(shape, channel).mask(shape)
            return found
        mask = torch.zeros(shape, dtype=torch.bool)
        where = self._channel(shape, channel)
        for index in map(self._index, self._listed()):
            single = len(index) > 1 or len(shape) == 1
            _check_within(index, shape if single else shape[where : where + 1], self.cut)
            (mask[index] if single else mask.select(where, index[0])).fill_(True)
        return mask

    def _listed(self) -> Iterable[Any]:
        units = self.units.tolist() if isinstance(self.units, Tensor) else self.units
        if isinstance(units, str) or not isinstance(units, Iterable):
            raise TypeError(
                f"expected units of the {self.cut} as channel numbers, index tuples or a bool "
                f"tensor, got {type(units).__name__}"
            )
        return units

    def _index(self, unit: Any) -> tuple[int, ...]:
        axis = getattr(unit, "axis", "channel")
        if axis not in ("channel", "neuron"):
            raise TypeError(
                f"expected channels or neurons at the {self.cut}, got a {axis}: say what a unit "
                f'is beside the layer, as by (UnitsOf(layer, "{axis}"), units)'
            )
        index = getattr(unit, "index", unit) if not isinstance(unit, tuple) else unit
        try:
            return tuple(
                operator.index(i) for i in (index if isinstance(index, tuple) else [index])
            )
        except TypeError:
            raise TypeError(
                f"expected a unit of the {self.cut} as a channel number or a tuple of ints, got "
                f"{type(unit).__name__}"
            ) from None

    def _channel(self, shape: tuple[int, ...], channel: int | None) -> int:
        """Return which of one example's dimensions counts channels."""
        if channel is not None:
            return channel - 1
        return len(shape) - 1 if len(shape) < 3 else 0  # flat and tokens; images


def gates(problem: Problem, steps: Sequence[Step]) -> tuple[Tensor, ...]:
    """Return which units of the last cuts of a slice gradients pass, (...) bool each.

    Raises:
        ValueError: if a cut is named twice, more than one tensor passes there, or there is no such
            unit.
    """
    if not steps:
        return ()
    cuts = problem.slice.cuts
    places = [cut.place for cut in cuts]
    for number, cut in enumerate(cuts[-len(steps) :], len(cuts) - len(steps)):
        if cut.place in places[:number]:
            raise ValueError(
                f"expected each layer once, got the {cut} again in through=: gradients pass a "
                "layer once, so name all of its units at one place"
            )
    inputs, bound = problem.one()
    with Layouts() as layouts:
        reading = problem.slice.read(inputs, bound, cuts=cuts[-len(steps) :])
        found = []
        for step, tensors in zip(steps, reading.cuts, strict=True):
            if len(tensors) != 1:
                raise ValueError(
                    f"expected one tensor at the {step.cut} of through=, got {len(tensors)}: pick "
                    "one with Cut(layer, select=...)"
                )
            (z,) = tensors
            basis = step.cut.basis
            channel = layouts.channel(z, str(step.cut)) if basis is None else basis.channel(z.ndim)
            found.append(step.mask(tuple(z.shape[1:]), channel).to(z.device))
    return tuple(found)


def _check_within(index: tuple[int, ...], sizes: tuple[int, ...], cut: Cut) -> None:
    fits = len(index) == len(sizes)
    if not fits or any(not 0 <= i < size for i, size in zip(index, sizes, strict=True)):
        raise ValueError(
            f"there is no unit {index[0] if len(index) == 1 else index} at the {cut}: a channel "
            f"number counts from 0, a neuron has an int for each dimension, here below {sizes}"
        )

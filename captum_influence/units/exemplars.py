"""The inputs out of a loader on which a unit's contribution is largest, and what it looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from captum_influence.network.devices import device_of
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis
from captum_influence.units.interpreted import Example, InterpretedUnit
from captum_influence.units.measurement import Measurement
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.shown.choice import display_of

__all__ = ["Examiner", "Look", "Podium"]


@dataclass(frozen=True, eq=False)
class Look:
    """A picture on which a unit's contribution is large, and what of the picture that comes from.

    Attributes:
        example: the picture, its label, and what the unit did.
        seen: the map, the mask, the regions and the crop.
    """

    example: Example
    seen: InterpretedUnit

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        example = self.example
        return {
            "number": example.number,
            "label": example.label,
            "value": example.value,
            **{
                k: v
                for k, v in self.seen.to_dict().items()
                if k in ("regions", "box", "steps", "tokens")
            },
        }


@dataclass(frozen=True, eq=False)
class Case:
    """One example of a loader: its number, its label, what a unit did, and the input itself."""

    number: int
    label: int
    value: float
    inputs: Tensor


@dataclass(frozen=True, eq=False)
class Podium:
    """For each of several units, the few examples with the largest values seen so far."""

    count: int
    places: list[list[Case]] = field(default_factory=list)

    def admit(self, values: Tensor, numbers: Sequence[int], images: Tensor, labels: Tensor) -> None:
        """Let a batch compete: values (examples, units); −inf doesn't take part."""
        if not self.places:
            self.places.extend([] for _ in range(values.shape[1]))
        for unit, column in enumerate(values.T):
            order = column.argsort(descending=True, stable=True)[: self.count].tolist()
            fresh = [
                Case(numbers[i], int(labels[i]), float(column[i]), images[i].cpu()) for i in order
            ]
            both = self.places[unit] + [case for case in fresh if case.value > -math.inf]
            self.places[unit] = sorted(both, key=lambda c: (-c.value, c.number))[: self.count]


@dataclass(frozen=True, eq=False)
class Examiner:
    """Turns examples into what can be shown.

    Attributes:
        measurement: the question that the maps answer.
        axis: what one unit is.
        shown: how it is shown.
    """

    measurement: Measurement
    axis: Axis
    shown: Shown

    def examples(self, cases: Sequence[Case], kind: str) -> tuple[Example, ...]:
        """Return examples as they are shown."""
        return tuple(
            Example(
                kind=kind,
                number=case.number,
                label=case.label,
                value=case.value,
                display=display_of(case.inputs, self.shown),
                label_name=self.shown.name(case.label),
            )
            for case in cases
        )

    def looks(
        self,
        units: Sequence[UnitInfluence],
        podium: Podium,
        kind: str,
        *,
        lowest: Sequence[bool] | None = None,
    ) -> list[tuple[Look, ...]]:
        """Return for each unit what it looks at in its examples; one pass per input.

        Args:
            units: those of the podium, in its order.
            podium: which examples.
            kind: by what they were chosen.
            lowest: for which units what lowers the quantity is lit; none.
        """
        lowest = [False] * len(units) if lowest is None else lowest
        maps = self._maps(units, podium)
        found = []
        for i, unit in enumerate(units):
            cases = podium.places[i]
            rows = []
            for case, example in zip(cases, self.examples(cases, kind), strict=True):
                values = example.display.laid(maps[case.number, i])
                seen = example.display.highlight(values, lowest=lowest[i])
                told = replace(unit, value=case.value)
                rows.append(Look(example, InterpretedUnit(unit=told, seen=seen)))
            found.append(tuple(rows))
        return found

    def _maps(
        self, units: Sequence[UnitInfluence], podium: Podium
    ) -> dict[tuple[int, int], Tensor]:
        """Return what each entry of an input does, by the input's number and the unit's place."""
        inputs, wanted = {}, dict[int, list[int]]()
        for place, cases in enumerate(podium.places):
            for case in cases:
                inputs[case.number] = case.inputs
                wanted.setdefault(case.number, []).append(place)
        found = {}
        device = device_of(self.measurement.model)
        for number, places in wanted.items():
            indices = [units[place].index for place in places]
            maps = self.measurement.maps(inputs[number][None].to(device), self.axis, indices)
            found.update({(number, p): m for p, m in zip(places, maps, strict=True)})
        return found

"""The finding in one or two sentences, saying no more than was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.network.cuts import layer_name
from captum_influence.network.predictions import Names, Prediction, class_name
from captum_influence.reports.words import place
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.measurement import Measurement

__all__ = ["Story"]


@dataclass(frozen=True, eq=False)
class Story:
    """What there is to tell: the network's answer, the question, the names of the classes."""

    predictions: tuple[Prediction, ...]
    measurement: Measurement
    names: Names = None

    @property
    def layer(self) -> str:
        """The layer's name."""
        return layer_name(self.measurement.model, self.measurement.cut)

    @property
    def quantity(self) -> str:
        """What was asked, in words."""
        return self.measurement.quantity.in_words(self.names)

    def headline(self, units: Sequence[InterpretedUnit]) -> str:
        """Return what the network said, which unit spoke most for it, and where that looks."""
        parts = [self._answer(), self._unit(units[0]), self._place(units[0])]
        return " ".join(part for part in parts if part)

    def _answer(self) -> str:
        if not self.predictions:
            return ""
        first = self.predictions[0]
        rival = _rival(self.measurement.quantity, first.index)
        rather = "" if rival is None else f" rather than {class_name(rival, self.names)}"
        return f"The network says {first.name} ({percent(first.probability)}){rather}."

    def _unit(self, first: InterpretedUnit) -> str:
        unit = first.unit
        if unit.value <= 0:
            return f"No {unit.axis} of {self.layer} speaks for {self.quantity}."
        name = unit.name[:1].upper() + unit.name[1:]
        return (
            f"{name} of {self.layer} speaks most for {self.quantity}, with {percent(unit.share)} "
            f"of all {self.measurement.by}s there."
        )

    def _place(self, first: InterpretedUnit) -> str:
        if not first.regions or first.unit.value <= 0:
            return ""
        region = first.regions[0]
        top, left, bottom, right = region.box
        where = place((top + bottom) / 2, (left + right) / 2, *first.map.shape[-2:])
        share = percent(region.share)
        through = self.measurement.focus == "quantity"
        raising = "what speaks for this through it" if through else "what raises it"
        if region.share < 0.25:
            return (
                f"{raising.capitalize()} is spread out: the strongest region, in the {where} "
                f"of the picture, holds {share}."
            )
        return f"{share} of {raising} lies in one region, in the {where} of the picture."


def percent(share: float) -> str:
    """Return a share as a percentage; what rounds to none or all of it is named as a bound."""
    if 0.995 <= share < 1:
        return "over 99\u00a0%"
    if 0 < abs(share) < 0.005:
        return "under 1\u00a0%"
    return f"{share:.0%}".replace("%", "\u00a0%").replace("-", "−")


def _rival(quantity: Quantity, predicted: int) -> int | None:
    """Return b if the quantity is score(predicted) − score(b)."""
    terms = getattr(quantity, "terms", ())
    scores = [(weight, term) for weight, term in terms if isinstance(term, ClassScore)]
    if len(terms) != 2 or len(scores) != 2:
        return None
    (plus, first), (minus, second) = sorted(scores, key=lambda term: -term[0])
    fits = plus > 0 > minus and first.class_index == predicted
    return second.class_index if fits else None

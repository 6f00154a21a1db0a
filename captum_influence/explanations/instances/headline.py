"""The finding in one or two sentences, saying no more than was measured."""

from __future__ import annotations

from collections.abc import Sequence

from captum_influence.network.predictions import Prediction
from captum_influence.reports.shown import Focus
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import By
from captum_influence.visualization.numbers import percent

__all__ = ["answer_in_words", "place_in_words", "unit_in_words"]


def answer_in_words(predictions: Sequence[Prediction], rival: str | None) -> str:
    """Return what the network said; empty if it has no classes."""
    if not predictions:
        return ""
    first = predictions[0]
    rather = "" if rival is None else f" rather than {rival}"
    return f"The network says {first.name} ({percent(first.probability)}){rather}."


def unit_in_words(first: InterpretedUnit, layer: str, quantity: str, by: By) -> str:
    """Return which unit raises the quantity most."""
    unit = first.unit
    if unit.value <= 0:
        return f"No {unit.axis} of {layer} raises {quantity}."
    name = unit.name[:1].upper() + unit.name[1:]
    whole = f"of all {by}s there"
    return f"{name} of {layer} raises {quantity} most, with {percent(unit.share)} {whole}."


def place_in_words(first: InterpretedUnit, focus: Focus) -> str:
    """Return where that unit looks; empty if it raises nothing."""
    if first.unit.value <= 0:
        return ""
    through = focus == "quantity"
    return first.seen.where("what raises this through it" if through else "what raises it")

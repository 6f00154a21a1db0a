"""The finding in a few sentences, saying no more than was measured; the first one answers."""

from __future__ import annotations

from collections.abc import Sequence

from captum_influence.explanations.effects import Effects
from captum_influence.network.predictions import Prediction
from captum_influence.reports.shown import Focus
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import By, UnitInfluence
from captum_influence.visualization.numbers import number, percent

__all__ = ["answer_in_words", "estimate_in_words", "place_in_words", "strongest_in_words"]

_UNSURE = 0.05  # a probability below which the network hardly says it


def answer_in_words(
    predictions: Sequence[Prediction], rival: str | None, targets: Sequence[int] = ()
) -> str:
    """Return what the network said, without a full stop; empty if it has no classes.

    Args:
        predictions: the class with the highest score first, and those that were asked about.
        rival: the class that the first was compared with, by name.
        targets: the classes that were asked about.
    """
    if not predictions:
        return ""
    first, chance = predictions[0], percent(predictions[0].probability)
    ties = [p.name for p in predictions[1:] if p.score == first.score]
    if ties:
        said = f"The network ties {' and '.join([first.name, *ties])} ({chance} each)"
    elif first.probability < _UNSURE:
        said = f"The network hardly knows: its first answer is {first.name}, with only {chance}"
    else:
        said = f"The network says {first.name} ({chance})"
    if rival is not None:
        return f"{said} rather than {rival}"
    others = [p for p in predictions if p.index in targets and p.index != first.index]
    given = " and ".join(f"{p.name} {percent(p.probability)}" for p in others)
    return f"{said}, and gives {given}" if others else said


def strongest_in_words(
    first: UnitInfluence,
    layer: str,
    quantity: str,
    *,
    said: Prediction | None,
    targets: Sequence[int] = (),
    lost: float,
    without: Prediction | None,
) -> str:
    """Return which unit raises the quantity most, and what the network says without it.

    Args:
        first: the unit.
        layer: where it is.
        quantity: what was asked, in words.
        said: the network's answer; None if it has no classes.
        targets: the classes that were asked about, the one whose score was raised first.
        lost: how much of the quantity is lost without the unit.
        without: the network's answer without it.
    """
    if first.value <= 0:
        return f"no {first.axis} of {layer} raises {quantity}"
    about_it = said is not None and list(targets[:1]) == [said.index]
    noun = quantity
    if about_it and len(targets) <= 2:
        noun = "its score" if len(targets) == 1 else "its lead"
    fallen = f"{noun} {number(abs(lost))} {'lower' if lost >= 0 else 'higher'}"
    name = first.name if first.layer is not None else f"{first.name} of {layer}"
    raised = f"{name} raises {'that' if about_it else quantity} most: without it,"
    if said is None or without is None:
        return f"{raised} {fallen}"
    if without.index == said.index:
        return f"{raised} still {without.name}, {fallen}"
    return f"{raised} it says {without.name} ({percent(without.probability)}), {fallen}"


def estimate_in_words(first: UnitInfluence, effects: Effects, by: By) -> str:
    """Return what was estimated of the unit, and what removal means; empty if it raises none."""
    if first.value <= 0:
        return ""
    share = f"{percent(first.share)} of all {by}s there"
    said = f"the estimate was {number(effects.estimates[0])}, " if effects.in_its_units else ""
    return f"Removed, it has {effects.replacement} in its place; {said or 'it has '}{share}."


def place_in_words(first: InterpretedUnit, focus: Focus) -> str:
    """Return where that unit looks; empty if it raises nothing."""
    if first.unit.value <= 0:
        return ""
    through = focus == "quantity"
    return first.seen.where("what raises this through it" if through else "what raises it")

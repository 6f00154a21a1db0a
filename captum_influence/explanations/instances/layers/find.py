"""What units of several layers stand for in one input, on one scale."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from torch import nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.quantities import Quantity
from captum_influence.explanations.instances.find import explain
from captum_influence.explanations.instances.layers.result import LayerExplanations
from captum_influence.network.cuts import Cut
from captum_influence.reports.asked import Asked
from captum_influence.units.given import GivenInput, GivenLike, chosen_for
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.measurement import answered, answered_at_start
from captum_influence.units.options import Options
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.targets import TargetLike
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["explain_layers"]


def explain_layers(
    model: nn.Module,
    image: GivenLike,
    layers: Sequence[LayerLike],
    target: TargetLike = None,
    *,
    versus: int | str | None = None,
    quantity: TargetLike = None,
    distribution: Distribution | None = None,
    replace: Replace | Replacement | None = None,
    top: int = 5,
    **options: Unpack[Options],
) -> LayerExplanations:
    """Explain an input at several layers, and put their units in one order.

    An :class:`Explanation` is one layer's: its shares, its removals and its page say how that
    layer's units make up the quantity. Units of several layers are compared by what they did, which
    is in the quantity's units at each layer. What they did doesn't add up: it is counted at one
    layer and again at the next.

    Args:
        model: the network, in eval mode.
        image: as :func:`explain` takes it.
        layers: modules, dotted names, Cuts or :class:`UnitsOf`.
        target: the class to explain, by number or name, or a quantity; None: the predicted class.
        versus: another class: why the target rather than this one?
        quantity: the same as ``target``.
        distribution: over which inputs; None: at the input. Along a path shares are of how far the
            quantity moved, as :func:`rank_layers` has it.
        replace: what takes a removed unit's place, as :func:`explain` takes it.
        top: how many units to name, of each layer and of all.
        options: those of every verb, see :class:`Options`.

    Raises:
        ValueError: if there are no layers, or two have the same name.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> network, image = load_demo_network(), demo_scene().image
        >>> found = explain_layers(network, image, ["relu4", "relu5"], 0, top=1)
        >>> len(found.units), list(found.layers)
        (1, ['relu4', 'relu5'])
    """
    asked, began = Asked.of(explain_layers, locals()), time.perf_counter()
    _check(layers)
    chosen, given = chosen_for(
        "explain_layers", model, image, layers[0], options, target or quantity
    )
    alone: dict[str, Any] = {"distribution": distribution, "replace": replace, "top": top}
    alone |= {"target": target, "versus": versus, "quantity": quantity, **_without_overlay(options)}
    each = [explain(model, image, layer, **alone) for layer in layers]
    found = {one.layer: one for one in each}
    if len(found) < len(each):
        raise ValueError(f"expected each layer once, got {[one.layer for one in each]}")
    change = None
    if chosen.by == "contribution" and distribution is not None and replace is None:
        with chosen.run.seeded():
            wanted = given.question(target, versus, quantity)
            change = _change(given, wanted, distribution)
    rows = [_placed(row, name, change) for name, one in found.items() for row in one.units]
    # Influences of different layers are slopes in different units: their shares are compared.
    rows.sort(key=lambda row: -(row.unit.value if chosen.by == "contribution" else row.unit.share))
    return LayerExplanations(
        asked=asked,
        units=tuple(rows[:top]),
        layers=found,
        change=change,
        seconds=time.perf_counter() - began,
    )


def _check(layers: Sequence[LayerLike]) -> None:
    if isinstance(layers, str | nn.Module | Cut | UnitsOf) or not len(layers):
        raise ValueError(
            f"expected a list of at least one layer, got {type(layers).__name__}: put it into one"
        )


def _without_overlay(options: Options) -> Options:
    """Return the options of one layer: where the whole answer looks isn't a matter of a layer."""
    if "shown" in options:
        return {**options, "shown": dataclasses.replace(options["shown"], overlay=False)}
    return {**options, "overlay": False}


def _placed(row: InterpretedUnit, layer: str, change: float | None) -> InterpretedUnit:
    """Return a unit that knows its layer, with its share of the change."""
    share = row.unit.share if change is None else row.unit.value / abs(change)
    return dataclasses.replace(row, unit=dataclasses.replace(row.unit, layer=layer, share=share))


def _change(given: GivenInput, quantity: Quantity, path: Distribution) -> float | None:
    """Return how far the quantity moves from the distribution's reference, if there is one."""
    here = answered(given.network, given.inputs, quantity)
    over = given.distribution(path) or path
    there = answered_at_start(given.network, given.inputs, over, here.quantity)
    if there is None:
        return None
    return float((here.value.double() - there.value.double()).mean()) or None

"""What units of several layers stand for in one input, on one scale."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import Quantity
from captum_influence.explanations.instances.find import explain
from captum_influence.explanations.instances.layers.result import LayerExplanations
from captum_influence.network.cuts import Cut
from captum_influence.network.inputs import network_of, one_input
from captum_influence.reports.asked import Asked
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.measurement import answered
from captum_influence.units.options import Chosen, Options
from captum_influence.units.targets import TargetLike, question
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["explain_layers"]


def explain_layers(
    model: nn.Module,
    image: Tensor,
    layers: Sequence[LayerLike],
    target: TargetLike = None,
    *,
    versus: int | str | None = None,
    quantity: TargetLike = None,
    distribution: Distribution | None = None,
    top: int = 5,
    **options: Unpack[Options],
) -> LayerExplanations:
    """Explain an input at several layers, and put their units in one order.

    An :class:`Explanation` is one layer's: its shares, its convergence delta and its page say how
    that layer's units make up the quantity. Units of several layers are compared by their share of
    how far the quantity moved, as :func:`rank_layers` has it; such shares don't add up.

    Args:
        model: the network, in eval mode.
        image: as :func:`explain` takes it.
        layers: modules, dotted names, Cuts or :class:`UnitsOf`.
        target: the class to explain, by number or name, or a quantity; None: the predicted class.
        versus: another class: why the target rather than this one?
        quantity: the same as ``target``.
        distribution: over which inputs; None: 50 midpoints of the path from 0.
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
    if isinstance(layers, str | nn.Module | Cut | UnitsOf) or not len(layers):
        raise ValueError(
            f"expected a list of at least one layer, got {type(layers).__name__}: put it into one"
        )
    chosen = Chosen.of("explain_layers", layers[0], options)
    wanted = question(target, versus=versus, quantity=quantity, names=chosen.shown.class_names)
    path = LinearPath(0.0, 50, Midpoint()) if distribution is None else distribution
    each = [
        explain(model, image, layer, wanted, distribution=path, top=top, **options)
        for layer in layers
    ]
    found = {one.layer: one for one in each}
    if len(found) < len(each):
        raise ValueError(f"expected each layer once, got {[one.layer for one in each]}")
    change = None
    if chosen.by == "contribution":
        with chosen.run.seeded():
            change = _change(network_of(model, chosen.run.output), image, wanted, path)
    rows = [_placed(row, name, change) for name, one in found.items() for row in one.units]
    rows.sort(key=lambda row: -row.unit.share)
    return LayerExplanations(
        asked=asked,
        units=tuple(rows[:top]),
        layers=found,
        change=change,
        seconds=time.perf_counter() - began,
    )


def _placed(row: InterpretedUnit, layer: str, change: float | None) -> InterpretedUnit:
    """Return a unit that knows its layer, with its share of the change."""
    share = row.unit.share if change is None else row.unit.value / abs(change)
    return replace(row, unit=replace(row.unit, layer=layer, share=share))


def _change(
    network: nn.Module, image: Tensor, quantity: Quantity, path: Distribution
) -> float | None:
    """Return how far the quantity moves from the distribution's reference, if there is one."""
    inputs = one_input(network, image)
    origin = path.reference((inputs,))
    if origin is None:
        return None
    here = answered(network, inputs, quantity)
    there = answered(network, origin[0], here.quantity)
    return float((here.value.double() - there.value.double()).mean()) or None

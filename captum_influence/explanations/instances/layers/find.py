"""What units of several layers stand for in one picture, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import PredictedClass, Quantity
from captum_influence.explanations.instances.find import explain
from captum_influence.explanations.instances.layers.result import LayerExplanations
from captum_influence.network.cuts import Cut
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.measurement import answered

if TYPE_CHECKING:
    pass

__all__ = ["explain_layers"]


def explain_layers(
    model: nn.Module,
    image: Tensor,
    layers: Sequence[nn.Module | str | Cut],
    *,
    top: int = 5,
    **settings: Any,
) -> LayerExplanations:
    """Explain a picture at several layers, and put their units in one order.

    An :class:`Explanation` is one layer's: its shares, its convergence delta and its page say how
    that layer's units make up the quantity. Units of several layers are compared by their share of
    how far the quantity moved, as :func:`rank_layers` has it; such shares don't add up.

    Args:
        model: the network, in eval mode.
        image: as :func:`explain` takes it.
        layers: modules, dotted names or Cuts.
        top: how many units to name, of each layer and of all.
        settings: further arguments of :func:`explain`.

    Raises:
        ValueError: if there are no layers, or two have the same name.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> network, image = load_demo_network(), demo_scene().image
        >>> found = explain_layers(network, image, ["relu4", "relu5"], quantity=0, top=1)
        >>> len(found.units), list(found.layers)
        (1, ['relu4', 'relu5'])
    """
    if isinstance(layers, str | nn.Module | Cut) or not len(layers):
        raise ValueError(
            f"expected a list of at least one layer, got {type(layers).__name__}: put it into one"
        )
    each = [explain(model, image, layer, top=top, **settings) for layer in layers]
    found = {one.layer: one for one in each}
    if len(found) < len(each):
        raise ValueError(f"expected each layer once, got {[one.layer for one in each]}")
    change = _change(model, image, settings)
    rows = [_placed(row, name, change) for name, one in found.items() for row in one.units]
    rows.sort(key=lambda row: -row.unit.share)
    return LayerExplanations(tuple(rows[:top]), found, change)


def _placed(row: InterpretedUnit, layer: str, change: float | None) -> InterpretedUnit:
    """Return a unit that knows its layer, with its share of the change."""
    share = row.unit.share if change is None else row.unit.value / abs(change)
    return replace(row, unit=replace(row.unit, layer=layer, share=share))


def _change(model: nn.Module, image: Tensor, settings: Mapping[str, Any]) -> float | None:
    """Return how far the quantity moves from the distribution's reference, if there is one."""
    inputs = image if image.ndim == 4 else image[None]
    path = settings.get("distribution") or LinearPath(0.0, 50, Midpoint())
    origin = path.reference((inputs,))
    if origin is None or settings.get("by", "contribution") != "contribution":
        return None
    given = settings.get("quantity")
    asked = PredictedClass() if given is None else Quantity.ensure(given)
    here = answered(model, inputs, asked)
    moved = here.value.double() - answered(model, origin[0], here.quantity).value.double()
    return float(moved.mean()) or None

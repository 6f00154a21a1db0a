"""Units of several layers, measured in one pass and ranked together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from captum_influence.attr import (
    Cut,
    Distribution,
    DistributionalInfluence,
    LinearPath,
    Midpoint,
    PredictedClass,
    Quantity,
)
from captum_influence.explain.axes import Aggregate, AxisLike
from captum_influence.explain.measuring import ask, observe
from captum_influence.explain.phrasing import layer_name
from captum_influence.explain.ranking import rank_units
from captum_influence.explain.units import By, JointRanking

__all__ = ["rank_layers"]


def rank_layers(
    model: nn.Module,
    inputs: Tensor,
    layers: Sequence[str | nn.Module | Cut],
    *,
    quantity: Quantity | Callable[[Any], Tensor] | int | None = None,
    distribution: Distribution | None = None,
    by: By = "contribution",
    aggregate: Aggregate = "sum",
    axis: AxisLike | Mapping[str, AxisLike] = "channel",
    heads: int | None = None,
    top: int | None = None,
    internal_batch_size: int | None = None,
) -> JointRanking:
    r"""Measure the units of several layers in one pass, and rank them on one scale.

    A unit's share is its contribution over :math:`|q(x) - q(x_0)|`, how far the quantity moves from
    the distribution's reference. Where nothing moves, the distribution has no reference
    (:class:`Point`, :class:`Noise`), or ``by="influence"``, shares are of each layer's own sum of
    absolute values; ``ranking.layers[name].change`` is None then. Layers lie upstream of each
    other, so shares of different layers don't add up: :func:`combine` measures units together.

    Args:
        model: the network.
        inputs: (examples, ...); ranked is the mean over them.
        layers: modules, dotted names or Cuts.
        quantity: what to ask; an int is a class; None: the predicted class.
        distribution: over which inputs; None: 50 midpoints of the path from zero.
        by: ``"contribution"`` or ``"influence"``.
        aggregate: pool a unit's entries by ``"sum"``, ``"mean"`` or ``"max"``.
        axis: what one unit is, with ``heads``: see :func:`rank_units`.
        heads: see ``axis``.
        top: how many units to name; None: all.
        internal_batch_size: (example, point) rows per pass.

    Raises:
        ValueError: if there are no layers, two have the same name, or one isn't there.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> network, image = load_demo_network(), demo_scene().image[None]
        >>> found = rank_layers(network, image, ["relu4", "relu5"], quantity=0, top=3)
        >>> len(found), list(found.layers)
        (3, ['relu4', 'relu5'])
    """
    asked = PredictedClass() if quantity is None else Quantity.ensure(quantity)
    path = LinearPath(0.0, 50, Midpoint()) if distribution is None else distribution
    output, value = ask(model, inputs, asked)
    asked, cuts = asked.resolve(output), _named(model, layers)
    measure = DistributionalInfluence(model, list(cuts.values()), distribution=path, quantity=asked)
    found = measure.attribute(inputs, internal_batch_size=internal_batch_size)
    origin = path.reference((inputs,)) if by == "contribution" else None
    begin = None if origin is None else origin[0]
    return rank_units(
        dict(zip(cuts, found, strict=True)),
        {name: observe(model, inputs, cut) for name, cut in cuts.items()},
        reference=None if begin is None else {n: observe(model, begin, c) for n, c in cuts.items()},
        axis=axis,
        by=by,
        aggregate=aggregate,
        heads=heads,
        top=top,
        change=None if begin is None else _change(value, ask(model, begin, asked)[1]),
    )


def _named(model: nn.Module, layers: Sequence[str | nn.Module | Cut]) -> dict[str, Cut]:
    if isinstance(layers, str | nn.Module | Cut) or not len(layers):
        raise ValueError(
            f"expected a list of at least one layer, got {type(layers).__name__}: put it into one"
        )
    cuts = [Cut.ensure(layer) for layer in layers]
    named = {layer_name(model, cut): cut for cut in cuts}
    if len(named) < len(cuts):
        raise ValueError(f"expected each layer once, got {[layer_name(model, c) for c in cuts]}")
    return named


def _change(here: Tensor, begin: Tensor) -> float | None:
    change = float((here.double() - begin.double()).mean())
    return change or None

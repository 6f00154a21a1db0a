"""Ranking the units of a layer, or of several, by what they did."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import PredictedClass, Quantity
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.reading import activations
from captum_influence.units.axes import Aggregate, Axis, AxisLike
from captum_influence.units.measurement import answered
from captum_influence.units.ranking import By, JointRanking, Ranking, joint_ranking, ranking_of

__all__ = ["rank_layers", "rank_units"]

Layers = Mapping[str, Tensor] | Sequence[Tensor]


@overload
def rank_units(
    influences: Tensor,
    activations: Tensor | None = None,
    *,
    reference: Tensor | float | None = None,
    axis: AxisLike = "channel",
    by: By = "influence",
    aggregate: Aggregate = "sum",
    top: int | None = None,
    heads: int | None = None,
    change: Tensor | float | None = None,
) -> Ranking: ...


@overload
def rank_units(
    influences: Layers,
    activations: Layers | None = None,
    *,
    reference: Layers | float | None = None,
    axis: AxisLike | Mapping[str, AxisLike] = "channel",
    by: By = "influence",
    aggregate: Aggregate = "sum",
    top: int | None = None,
    heads: int | None = None,
    change: Tensor | float | None = None,
) -> JointRanking: ...


def rank_units(
    influences: Tensor | Layers,
    activations: Tensor | Layers | None = None,
    *,
    reference: Tensor | Layers | float | None = None,
    axis: AxisLike | Mapping[str, AxisLike] = "channel",
    by: By = "influence",
    aggregate: Aggregate = "sum",
    top: int | None = None,
    heads: int | None = None,
    change: Tensor | float | None = None,
) -> Ranking | JointRanking:
    r"""Rank units by what they did, averaged over the examples, largest first.

    A contribution is influence × (activation − reference activation), entry by entry. Everything
    keeps its sign until it is pooled. A unit's share is its value :math:`v_j` over
    :math:`\sum_k |v_k|` of its layer; with ``change``, over :math:`|q(x) - q(x_0)|`.

    Several layers are ranked together by share. Shares of *different* layers don't add up: an
    effect that passes through one layer and then the next is counted in both. :func:`combine`
    measures what units of several layers do together.

    Args:
        influences: (examples, ...), as ``DistributionalInfluence.attribute`` returns them; or of
            several layers: a mapping from their names, or a list.
        activations: shaped alike, the layer's activations on the same examples.
        reference: activations where displacements start, shaped alike; None: zero.
        axis: ``"channel"``, ``"position"``, ``"neuron"``, ``"head"``, a dimension, or your own
            grouping of channels: ``{"wheels": [3, 17], ...}``, one label per channel, or a function
            of one example's shape that returns these. Bool masks, or a tensor of integer labels,
            shaped like one example's units, group single neurons. Of several layers, also a
            mapping from each layer to its own.
        by: ``"influence"`` or ``"contribution"``, which needs ``activations``.
        aggregate: pool a unit's entries by ``"sum"``, ``"mean"`` or ``"max"``.
        top: how many to name; None: all.
        heads: how many heads share the last dimension, for ``axis="head"`` on (N, T, C).
        change: q(x) − q(x₀), (examples,) or their mean: shares are then of the quantity, and
            comparable between layers of any width. Only for contributions: influences of different
            layers are slopes in different units. Without it, a layer of few units has large shares.

    Raises:
        ValueError: if shapes disagree, a number is NaN, the layer has no such units, or the
            quantity didn't move.

    Example:
        >>> influences = torch.tensor([[1.0, -3.0, 2.0]])
        >>> [unit.name for unit in rank_units(influences, top=2)]
        ['channel 2', 'channel 0']
    """
    asked = _Asked(by, aggregate, top, heads, _moved(change, by))
    if isinstance(influences, Mapping) or _are_layers(influences):
        return asked.together(_named(influences), activations, reference, axis)
    return asked.alone(influences, activations, reference, axis)


@dataclass(frozen=True)
class _Asked:
    """How units are ranked, of one layer or of several."""

    by: By
    aggregate: Aggregate
    top: int | None
    heads: int | None
    change: float | None

    def alone(
        self, influences: Any, activations: Any, reference: Any, axis: Any, layer: str | None = None
    ) -> Ranking:
        """Rank one layer's units."""
        _check_tensors(influences, activations, self.by)
        values = influences
        if self.by == "contribution":
            values = influences * (activations - (0.0 if reference is None else reference))
        found = Axis.ensure(axis, tuple(influences.shape[1:]), self.heads)
        return ranking_of(
            values,
            found,
            self.by,
            self.aggregate,
            self.top,
            activations,
            reference,
            change=self.change,
            layer=layer,
        )

    def together(
        self, influences: Mapping[str, Tensor], activations: Any, reference: Any, axis: Any
    ) -> JointRanking:
        """Rank the units of several layers by their shares."""
        axes = axis if isinstance(axis, Mapping) and set(axis) == set(influences) else None
        layers = {}
        for name, values in influences.items():
            try:
                own, begin = (_of(name, influences, given) for given in (activations, reference))
                along = axis if axes is None else axes[name]
                layers[name] = self.alone(values, own, begin, along, name)
            except (TypeError, ValueError) as error:
                raise type(error)(f"layer {name}: {error}") from None
        return joint_ranking(layers, self.top)


def _are_layers(influences: Any) -> bool:
    listed = isinstance(influences, Sequence) and not isinstance(influences, str)
    return listed and all(isinstance(layer, Tensor) for layer in influences)


def _named(influences: Any) -> dict[str, Tensor]:
    """Return layers by name; those of a list by their place in it."""
    if not len(influences):
        raise ValueError("expected the influences of at least one layer, got none")
    if isinstance(influences, Mapping):
        return dict(influences)
    return {str(place): layer for place, layer in enumerate(influences)}


def _of(name: str, layers: Mapping[str, Tensor], given: Any) -> Any:
    """Return what is given for one of the layers; a number, or nothing, is given for all."""
    if given is None or isinstance(given, int | float):
        return given
    if isinstance(given, Tensor) or not isinstance(given, Mapping | Sequence):
        raise TypeError(
            "expected activations and references of several layers as the influences are, a "
            f"mapping or a list, got {type(given).__name__}"
        )
    known = _named(given)
    if set(known) != set(layers):
        raise ValueError(
            f"expected activations and references of the layers {list(layers)}, got {list(known)}"
        )
    return known[name]


def _moved(change: Tensor | float | None, by: str) -> float | None:
    """Return how far the quantity moved, averaged over the examples."""
    if change is None:
        return None
    if by != "contribution":
        raise ValueError(
            'expected by="contribution" beside change=, got by="influence": an influence is a '
            "slope, not a part of a change"
        )
    mean = float(torch.as_tensor(change).double().mean())
    if not math.isfinite(mean) or mean == 0:
        raise ValueError(
            f"expected a change of the quantity that shares can be taken of, got {mean}: leave "
            "change= out, and shares are of the layer"
        )
    return mean


def _check_tensors(influences: Any, activations: Any, by: str) -> None:
    if not isinstance(influences, Tensor):
        raise TypeError(
            "expected the influences at one layer as a tensor (examples, ...), or of several as a "
            f"mapping or a list of such, got {type(influences).__name__}"
        )
    if by not in ("influence", "contribution"):
        raise ValueError(f'expected by="influence" or by="contribution", got {by!r}')
    if by == "contribution" and activations is None:
        raise ValueError('by="contribution" multiplies by activations: pass them as the second')
    if activations is not None and activations.shape != influences.shape:
        raise ValueError(
            f"expected activations shaped like the influences, {tuple(influences.shape)}, got "
            f"{tuple(activations.shape)}"
        )


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
    answer, cuts = answered(model, inputs, asked), _cuts(model, layers)
    asked = answer.quantity
    measure = DistributionalInfluence(model, list(cuts.values()), distribution=path, quantity=asked)
    found = measure.attribute(inputs, internal_batch_size=internal_batch_size)
    origin = path.reference((inputs,)) if by == "contribution" else None
    begin = None if origin is None else origin[0]
    return rank_units(
        dict(zip(cuts, found, strict=True)),
        {name: activations(model, inputs, cut) for name, cut in cuts.items()},
        reference=None
        if begin is None
        else {n: activations(model, begin, c) for n, c in cuts.items()},
        axis=axis,
        by=by,
        aggregate=aggregate,
        heads=heads,
        top=top,
        change=None
        if begin is None
        else _change(answer.value, answered(model, begin, asked).value),
    )


def _cuts(model: nn.Module, layers: Sequence[str | nn.Module | Cut]) -> dict[str, Cut]:
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

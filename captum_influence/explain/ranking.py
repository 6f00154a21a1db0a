"""Ranking the units of a layer, or of several, by what they did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor

from captum_influence.explain.axes import Aggregate, Axis, AxisLike
from captum_influence.explain.units import By, JointRanking, Ranking, joint_ranking, ranking_of

__all__ = ["rank_units"]

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

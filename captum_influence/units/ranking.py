"""Units of a layer (channels, positions, neurons, heads), and how much each of them matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from captum_influence.units.axes import Aggregate, Axis

__all__ = ["By", "JointRanking", "Ranking", "UnitInfluence", "joint_ranking", "ranking_of"]

By = Literal["influence", "contribution"]


@dataclass(frozen=True)
class UnitInfluence:
    """One unit and what it did.

    Attributes:
        axis: what kind of unit: ``"channel"``, ...
        index: which one, along the axis.
        value: its influence or contribution, pooled over the unit, signed.
        share: ``value`` over the sum of absolute values of all units of the layer, or over how far
            the quantity moved: see :func:`rank_units`. Signed as ``value``.
        activation: its activation on the explained instance, pooled alike; None if not known.
        reference: the same where displacements start; None if not known or not used.
        label: what a user calls it, if it is one of the user's own groups.
        layer: where it is, if layers are ranked together.
    """

    axis: str
    index: tuple[int, ...]
    value: float
    share: float
    activation: float | None = None
    reference: float | None = None
    label: str | None = None
    layer: str | None = None

    @property
    def name(self) -> str:
        """What to call it: ``channel 17``, a group's own name, ``channel 17 of layer3``."""
        inner = ", ".join(str(i) for i in self.index)
        numbered = f"{self.axis} {inner}" if len(self.index) == 1 else f"{self.axis} ({inner})"
        name = numbered if self.label is None else self.label
        return name if self.layer is None else f"{name} of {self.layer}"

    def to_dict(self) -> dict[str, Any]:
        """Return it with its name, as JSON can hold it."""
        return {**asdict(self), "name": self.name}


@dataclass(frozen=True, eq=False)
class Ranking:
    """The units of a layer, the one that raises the quantity most first; behaves as a sequence.

    Attributes:
        units: the first ``top`` of them.
        values: what all of them did, one entry per unit along the axis.
        axis: what counts as one unit.
        by: what was ranked.
        aggregate: how it was pooled over what belongs to one unit.
        activations: of all units on the explained instance, pooled alike, or None.
        references: the same where displacements start, or None.
        change: how far the quantity moved, if shares are shares of that; None: of the layer.
        layer: the layer's name, if layers are ranked together.
    """

    units: tuple[UnitInfluence, ...]
    values: Tensor
    axis: Axis
    by: By
    aggregate: Aggregate
    activations: Tensor | None = None
    references: Tensor | None = None
    change: float | None = None
    layer: str | None = None

    def __len__(self) -> int:
        """Return how many units were asked for."""
        return len(self.units)

    def __iter__(self) -> Iterator[UnitInfluence]:
        """Go through them, the first one first."""
        return iter(self.units)

    def __getitem__(self, rank: int) -> UnitInfluence:
        """Return the unit of this rank, counted from 0."""
        return self.units[rank]

    @property
    def scale(self) -> float:
        """What values are divided by for shares; shares are 0 where it is 0."""
        return float(self.values.double().abs().sum()) if self.change is None else abs(self.change)

    def unit(self, flat: int) -> UnitInfluence:
        """Return a unit by its place in ``values``, counted row by row."""
        index = tuple(int(i) for i in np.unravel_index(flat, tuple(self.values.shape)))
        value, scale = float(self.values[index]), self.scale
        return UnitInfluence(
            self.axis.name,
            index,
            value,
            value / scale if scale else 0.0,
            None if self.activations is None else float(self.activations[index]),
            None if self.references is None else float(self.references[index]),
            self.axis.label(index),
            self.layer,
        )

    def against(self, count: int) -> tuple[UnitInfluence, ...]:
        """Return up to ``count`` units that lower the quantity, the strongest first."""
        order = self.values.flatten().argsort(stable=True)[:count].tolist()
        return tuple(unit for unit in map(self.unit, order) if unit.value < 0)


@dataclass(frozen=True, eq=False)
class JointRanking:
    """The units of several layers in one order, by their share; behaves as a sequence.

    Attributes:
        units: the first ``top`` of all of them; each knows its layer.
        layers: each layer's own ranking, by its name.
    """

    units: tuple[UnitInfluence, ...]
    layers: Mapping[str, Ranking]

    def __len__(self) -> int:
        """Return how many units were asked for."""
        return len(self.units)

    def __iter__(self) -> Iterator[UnitInfluence]:
        """Go through them, the first one first."""
        return iter(self.units)

    def __getitem__(self, rank: int) -> UnitInfluence:
        """Return the unit of this rank, counted from 0."""
        return self.units[rank]

    def against(self, count: int) -> tuple[UnitInfluence, ...]:
        """Return up to ``count`` units of any layer that lower the quantity, strongest first."""
        every = [unit for ranking in self.layers.values() for unit in ranking.against(count)]
        return tuple(sorted(every, key=lambda unit: unit.share)[:count])


def ranking_of(
    values: Tensor,
    axis: Axis,
    by: By,
    aggregate: Aggregate,
    top: int | None,
    activations: Tensor | None = None,
    reference: Tensor | float | None = None,
    *,
    change: float | None = None,
    layer: str | None = None,
) -> Ranking:
    """Rank what units did, (examples, ...), whichever way it was measured."""
    if aggregate not in ("sum", "mean", "max"):
        raise ValueError(f'expected aggregate="sum", "mean" or "max", got {aggregate!r}')
    if top is not None and top < 1:
        raise ValueError(f"expected top to be a positive number of units, got {top}")
    if bool(values.isnan().any()):
        raise ValueError(f"what the units did, of shape {tuple(values.shape)}, holds NaN")
    pooled = _mean(axis.pool(values, aggregate))
    seen, began = (_pooled(other, values, axis, aggregate) for other in (activations, reference))
    ranking = Ranking((), pooled, axis, by, aggregate, seen, began, change, layer)
    order = pooled.flatten().argsort(descending=True, stable=True)[:top].tolist()
    return replace(ranking, units=tuple(map(ranking.unit, order)))


def joint_ranking(layers: Mapping[str, Ranking], top: int | None) -> JointRanking:
    """Put the units of several layers, each ranked, in one order, by their shares."""
    units = [unit for ranking in layers.values() for unit in ranking]
    return JointRanking(tuple(sorted(units, key=lambda unit: -unit.share)[:top]), layers)


def _pooled(
    other: Tensor | float | None, like: Tensor, axis: Axis, aggregate: Aggregate
) -> Tensor | None:
    if other is None:
        return None
    whole = torch.as_tensor(other, dtype=like.dtype, device=like.device).expand_as(like)
    return _mean(axis.pool(whole, aggregate))


def _mean(pooled: Tensor) -> Tensor:
    """Average over examples, in float32 or better."""
    exact = pooled.detach().to(torch.promote_types(pooled.dtype, torch.float32))
    return exact.mean(dim=0).cpu()

"""Units of a layer (channels, positions, neurons, heads), and how much each of them matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from captum_influence.units.axes import Aggregate, Axis

__all__ = ["By", "UnitInfluence", "UnitValues"]

By = Literal["influence", "contribution"]
_MEANS = ("values", "activations", "references")  # over examples


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
        standard_error: of ``value``, if that is a mean over several examples.
    """

    axis: str
    index: tuple[int, ...]
    value: float
    share: float
    activation: float | None = None
    reference: float | None = None
    label: str | None = None
    layer: str | None = None
    standard_error: float | None = None

    @property
    def name(self) -> str:
        """What to call it: ``channel 17``, a group's own name, ``channel 17 of layer3``."""
        inner = ", ".join(str(i) for i in self.index)
        numbered = f"{self.axis} {inner}" if len(self.index) == 1 else f"{self.axis} ({inner})"
        name = numbered if self.label is None else self.label
        return name if self.layer is None else f"{name} of {self.layer}"

    @property
    def anchor(self) -> str:
        """What a link to it on a page is called: ``unit-17``, ``unit-layer3-17``."""
        return "-".join(["unit", *filter(None, [self.layer]), *map(str, self.index)])

    def to_dict(self) -> dict[str, Any]:
        """Return it with its name, as JSON can hold it."""
        return {**asdict(self), "name": self.name}


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitValues:
    """What every unit of a layer did, averaged over examples: one entry per unit along the axis.

    Attributes:
        axis: what counts as one unit.
        values: what they did.
        standard_errors: of these means; None of a single example.
        activations: of the units on the explained instances, pooled alike, or None.
        references: the same where displacements start, or None.
        change: how far the quantity moved, if shares are shares of that; None: of the layer.
        layer: the layer's name, if layers are ranked together.
    """

    axis: Axis
    values: Tensor
    standard_errors: Tensor | None = None
    activations: Tensor | None = None
    references: Tensor | None = None
    change: float | None = None
    layer: str | None = None

    @staticmethod
    def pooled(
        values: Tensor,
        axis: Axis,
        aggregate: Aggregate = "sum",
        activations: Tensor | None = None,
        reference: Tensor | float | None = None,
        *,
        change: float | None = None,
        layer: str | None = None,
    ) -> UnitValues:
        """Pool what a layer's entries did, (examples, ...), over the entries of each unit.

        Args:
            values: what they did.
            axis: what counts as one unit.
            aggregate: a unit's entries are pooled by ``"sum"``, ``"mean"`` or ``"max"``.
            activations: shaped like the values.
            reference: activations where displacements start, or one number for all.
            change: how far the quantity moved.
            layer: the layer's name.

        Raises:
            ValueError: if a value is NaN, or there is no such pooling.
        """
        if aggregate not in ("sum", "mean", "max"):
            raise ValueError(f'expected aggregate="sum", "mean" or "max", got {aggregate!r}')
        if bool(values.isnan().any()):
            raise ValueError(f"what the units did, of shape {tuple(values.shape)}, holds NaN")
        each = _exact(axis.pool(values, aggregate))
        return UnitValues(
            axis=axis,
            values=each.mean(dim=0),
            standard_errors=each.std(dim=0) / math.sqrt(len(each)) if len(each) > 1 else None,
            activations=_pooled(activations, values, axis, aggregate),
            references=_pooled(reference, values, axis, aggregate),
            change=change,
            layer=layer,
        )

    @staticmethod
    def merged(parts: Sequence[UnitValues], counts: Sequence[int]) -> UnitValues:
        """Return what units did over several batches, of so many examples each."""
        if len(parts) == 1:
            return parts[0]
        whole = sum(counts)
        columns = [[getattr(part, name) for part in parts] for name in _MEANS]
        means = {name: _mean(column, counts) for name, column in zip(_MEANS, columns, strict=True)}
        squares = torch.zeros_like(parts[0].values)
        for part, n in zip(parts, counts, strict=True):
            within = 0 if part.standard_errors is None else part.standard_errors**2 * n * (n - 1)
            squares = squares + within + n * (part.values - means["values"]) ** 2
        errors = (squares / (whole - 1) / whole).sqrt()
        return replace(parts[0], **means, standard_errors=errors)

    @property
    def scale(self) -> float:
        """What values are divided by for shares; shares are 0 where it is 0."""
        return float(self.values.double().abs().sum()) if self.change is None else abs(self.change)

    def unit(self, flat: int) -> UnitInfluence:
        """Return a unit by its place in ``values``, counted row by row."""
        index = tuple(int(i) for i in np.unravel_index(flat, tuple(self.values.shape)))
        value, scale = float(self.values[index]), self.scale
        error = _entry(self.standard_errors, index)
        return UnitInfluence(
            axis=self.axis.name,
            index=index,
            value=value,
            share=value / scale if scale else 0.0,
            activation=_entry(self.activations, index),
            reference=_entry(self.references, index),
            label=self.axis.label(index),
            layer=self.layer,
            standard_error=None if error is None or math.isnan(error) else error,
        )

    def highest(self, count: int | None = None) -> tuple[UnitInfluence, ...]:
        """Return up to ``count`` units, the one with the largest value first; None: all of them.

        Raises:
            ValueError: if the count isn't positive.
        """
        if count is not None and count < 1:
            raise ValueError(f"expected top to be a positive number of units, got {count}")
        order = self.values.flatten().argsort(descending=True, stable=True)[:count].tolist()
        return tuple(map(self.unit, order))

    def against(self, count: int) -> tuple[UnitInfluence, ...]:
        """Return up to ``count`` units that lower the quantity, the strongest first."""
        order = self.values.flatten().argsort(stable=True)[:count].tolist()
        return tuple(unit for unit in map(self.unit, order) if unit.value < 0)


def _mean(column: Sequence[Tensor | None], counts: Sequence[int]) -> Any:
    """Return the mean of what batches said, weighed by their examples; None if one said nothing."""
    found = [part * n for part, n in zip(column, counts, strict=True) if part is not None]
    return torch.stack(found).sum(0) / sum(counts) if len(found) == len(column) else None


def _entry(values: Tensor | None, index: tuple[int, ...]) -> float | None:
    return None if values is None else float(values[index])


def _pooled(
    other: Tensor | float | None, like: Tensor, axis: Axis, aggregate: Aggregate
) -> Tensor | None:
    if other is None:
        return None
    whole = torch.as_tensor(other, dtype=like.dtype, device=like.device).expand_as(like)
    return _exact(axis.pool(whole, aggregate)).mean(dim=0)


def _exact(pooled: Tensor) -> Tensor:
    """Return it without a history, on the CPU, in float32 or better: half can't be averaged."""
    return pooled.detach().to(torch.promote_types(pooled.dtype, torch.float32)).cpu()

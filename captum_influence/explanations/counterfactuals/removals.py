"""One input at a layer, and what the network says without some of the units there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.network.substitution import Reruns
from captum_influence.units.axes import Axis
from captum_influence.units.replacement import Replacement

__all__ = ["Removals", "UnitSet", "removed"]

UnitSet = Sequence[int]  # units by their places, counted row by row
_ROWS = 32  # sets of units per pass


@dataclass(frozen=True, eq=False, kw_only=True)
class Removals:
    """One input at a layer, to be run on from there without sets of units.

    Attributes:
        runs: the input at the layer; only within its block.
        axis: what tells units apart.
        replacement: what takes the place of removed units.
        rows: sets of units per pass; None: chosen.
    """

    runs: Reruns
    axis: Axis
    replacement: Replacement
    rows: int | None = None

    def without(self, sets: Sequence[UnitSet]) -> Tensor:
        """Return the activations (sets, ...) without each set of units."""
        return removed(self.runs.activations, sets, self.axis, self.replacement)

    def answers(self, sets: Sequence[UnitSet]) -> Tensor:
        """Return the scores (sets, classes) without each set of units."""
        rows = self.rows or _ROWS
        parts = [sets[i : i + rows] for i in range(0, len(sets), rows)]
        return torch.cat([self._answers(part) for part in parts])

    def _answers(self, sets: Sequence[UnitSet]) -> Tensor:
        return self.runs.answer(self.without(sets), torch.zeros(len(sets), dtype=torch.long))

    def active(self) -> list[int]:
        """Return the units that removal changes at all."""
        other = self.replacement.like(self.runs.activations)
        moved = self.axis.pool((self.runs.activations - other).abs())[0]
        found: list[int] = moved.flatten().nonzero().flatten().tolist()
        return found


def removed(
    activations: Tensor, sets: Sequence[UnitSet], axis: Axis, replacement: Replacement
) -> Tensor:
    """Return activations without sets of units: one row for each set, or for each example."""
    gone = torch.zeros(len(sets), math.prod(axis.sizes), dtype=torch.bool)
    for row, units in zip(gone, sets, strict=True):
        row[list(units)] = True
    mask = axis.spread(gone).to(activations.device)
    return torch.where(mask, replacement.like(activations), activations)

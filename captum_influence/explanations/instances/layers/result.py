"""Several layers' explanations of one picture, on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captum_influence.explanations.instances.result import Explanation
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.visualization import maps
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LayerExplanations"]


@dataclass(frozen=True, eq=False)
class LayerExplanations:
    """Why a network said what it said about one picture, at several layers.

    Attributes:
        units: the units of any layer with the largest shares, each interpreted; it knows its layer.
        layers: what was found at each layer alone, by its name.
        change: q(x) − q(x₀), which shares are of; None: they are of each layer, see
            :func:`rank_layers`.
    """

    units: tuple[InterpretedUnit, ...]
    layers: Mapping[str, Explanation]
    change: float | None

    @property
    def headline(self) -> str:
        """The finding in words."""
        first, one = self.units[0].unit, next(iter(self.layers.values()))
        answer = one.headline.partition(". ")[0] + ". " if one.predictions else ""
        if first.value <= 0:
            return f"{answer}No unit of {', '.join(self.layers)} speaks for {one.quantity}."
        name, asked = first.name[:1].upper() + first.name[1:], one.quantity
        whole = f"all {one.settings['by']}s there" if self.change is None else "how far that moves"
        return f"{answer}{name} speaks most for {asked}, with {percent(first.share)} of {whole}."

    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure: the picture, the units, their maps."""
        rows = [
            maps.UnitRow(row.unit.name, row.unit.share, row.heat, row.mask, row.crop, row.box)
            for row in self.units
        ]
        picture = next(iter(self.layers.values())).picture
        return maps.overview(picture, rows, title=self.headline)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        return {
            "headline": self.headline,
            "change": self.change,
            "units": [row.to_dict() for row in self.units],
            "layers": {name: found.to_dict() for name, found in self.layers.items()},
        }

"""Several layers' explanations of one input, on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.explanations.instances.headline import answer_in_words
from captum_influence.explanations.instances.layers.page import layers_page
from captum_influence.explanations.instances.result import Explanation
from captum_influence.reports.display import Row
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LayerExplanations"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LayerExplanations(Finding):
    """Why a network said what it said about one input, at several layers.

    Attributes:
        units: the units of any layer with the largest shares, each interpreted; it knows its layer.
        layers: what was found at each layer alone, by its name.
        change: q(x) − q(x₀), which shares are of; None: they are of each layer, see
            :func:`rank_layers`.
        seconds: how long it took.
    """

    units: tuple[InterpretedUnit, ...]
    layers: Mapping[str, Explanation]
    change: float | None
    seconds: float

    @property
    def first(self) -> Explanation:
        """What was found at the first layer; the question and the input are those of all."""
        return next(iter(self.layers.values()))

    @property
    def effects(self) -> tuple[float, ...]:
        """What the removal of each of the units alone did."""
        return tuple(self._effect(row.unit) for row in self.units)

    def _effect(self, unit: UnitInfluence) -> float:
        found = self.layers[str(unit.layer)]
        places = [row.unit.index for row in found.units]
        return found.effects.alone[places.index(unit.index)]

    @property
    def cautions(self) -> tuple[str, ...]:
        """What speaks against the path's baseline, in sentences."""
        return tuple(dict.fromkeys(c for one in self.layers.values() for c in one.cautions))

    @property
    def headline(self) -> str:
        first = self.first
        answer = answer_in_words(first.predictions, first.rival, first.targets)
        said = f"{answer}." if answer else ""
        return " ".join([said, self._strongest(), *self.cautions]).strip()

    def _strongest(self) -> str:
        unit, asked = self.units[0].unit, self.first.quantity
        if unit.value <= 0:
            return f"No unit of {', '.join(self.layers)} raises {asked}."
        name = unit.name[:1].upper() + unit.name[1:]
        whole = f"all {self.first.by}s there" if self.change is None else "how far that moves"
        effects = self.layers[str(unit.layer)].effects
        return (
            f"{name} raises {asked} most, with {percent(unit.share)} of {whole}. "
            f"{effects.first_in_words(asked)}"
        )

    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure: the input, the units, their maps."""
        rows = [Row(row.unit.name, row.unit.share, row.seen) for row in self.units]
        return self.first.display.overview(rows, self.headline)

    def page(self, command: str | None = None) -> Page:
        return layers_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "change": self.change,
                "units": [row.to_dict() for row in self.units],
                "effects": self.effects,
                "cautions": self.cautions,
                "layers": {name: one.to_dict() for name, one in self.layers.items()},
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per named unit of any layer.

        Raises:
            ImportError: if pandas isn't installed.
        """
        columns = ("layer", "name", "value", "share", "activation", "reference")
        table = {c: [getattr(row.unit, c) for row in self.units] for c in columns}
        return frame({**table, "effect": list(self.effects)})

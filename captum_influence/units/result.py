"""The answers of ``rank_units`` and ``rank_layers``: units in the order of what they did."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.asked import Asked
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.units.axes import Aggregate, Axis
from captum_influence.units.page import ranking_figure, ranking_page, share_figure
from captum_influence.units.ranking import UnitInfluence, UnitValues
from captum_influence.visualization.numbers import number, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["JointRanking", "Ranking", "UnitOrder"]

_WORDS = {"influence": "on", "contribution": "to", "conductance": "of"}  # whose quantity counts


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class UnitOrder(Finding):
    """Units in an order: a finding that behaves as a sequence.

    Attributes:
        units: those that were asked for, the first one first.
        facts: what else was the case, in words: the quantity, the distribution, ...
    """

    units: tuple[UnitInfluence, ...]
    facts: Mapping[str, Any]

    # What a subclass answers

    @property
    @abstractmethod
    def measure(self) -> str:
        """What the units' values are, in words."""

    @property
    @abstractmethod
    def whole(self) -> str:
        """What shares are shares of, in words."""

    @abstractmethod
    def against(self, count: int) -> tuple[UnitInfluence, ...]:
        """Return up to ``count`` units that lower the quantity, the strongest first."""

    # What follows

    def __len__(self) -> int:
        """Return how many units were asked for."""
        return len(self.units)

    def __iter__(self) -> Iterator[UnitInfluence]:
        """Go through them, the first one first."""
        return iter(self.units)

    @overload
    def __getitem__(self, rank: int) -> UnitInfluence: ...

    @overload
    def __getitem__(self, rank: slice) -> tuple[UnitInfluence, ...]: ...

    def __getitem__(self, rank: int | slice) -> UnitInfluence | tuple[UnitInfluence, ...]:
        """Return the unit of this rank, counted from 0, or the units of a slice of ranks."""
        return self.units[rank]

    @property
    def quantity(self) -> str:
        """What was asked, in words, as far as that is known."""
        return str(self.facts.get("quantity", "the quantity"))

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "measure": self.measure,
                "units": [unit.to_dict() for unit in self.units],
                "facts": self.facts,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per unit that was asked for.

        Raises:
            ImportError: if pandas isn't installed.
        """
        columns = ("name", "value", "standard_error", "share", "activation", "reference", "layer")
        return frame({c: [getattr(unit, c) for unit in self.units] for c in columns})


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Ranking(UnitOrder):
    """The units of a layer in the order of what they did; behaves as a sequence.

    Attributes:
        by: what was ranked: ``"influence"``, ``"contribution"``, or another measure.
        aggregate: how it was pooled over what belongs to one unit.
        axis: what counts as one unit.
        values: what all units did, one entry per unit along the axis.
        standard_errors: of these, if they are means over several examples.
        activations: of all units on the explained instance, pooled alike, or None.
        references: the same where displacements start, or None.
        change: how far the quantity moved, if shares are shares of that; None: of the layer.
        layer: the layer's name, if layers are ranked together.

    Example:
        >>> import torch
        >>> from captum_influence import rank_units
        >>> ranking = rank_units(torch.tensor([[1.0, -3.0, 2.0]]))
        >>> len(ranking), ranking[0].name, [unit.name for unit in ranking.against(5)]
        (3, 'channel 2', ['channel 1'])
    """

    by: str
    aggregate: Aggregate
    axis: Axis
    values: Tensor
    standard_errors: Tensor | None = None
    activations: Tensor | None = None
    references: Tensor | None = None
    change: float | None = None
    layer: str | None = None

    @staticmethod
    def of(
        asked: Asked,
        found: UnitValues,
        units: tuple[UnitInfluence, ...],
        by: str,
        aggregate: Aggregate,
        facts: Mapping[str, Any],
    ) -> Ranking:
        """Return what every unit of a layer did, and some of the units in an order, as a finding.

        Args:
            asked: the call that found it.
            found: what every unit did.
            units: which were asked for, the first one first.
            by: what was ranked.
            aggregate: how it was pooled.
            facts: what else was the case, in words.
        """
        given = {f.name: getattr(found, f.name) for f in fields(found)}
        return Ranking(asked=asked, units=units, facts=facts, by=by, aggregate=aggregate, **given)

    @property
    def headline(self) -> str:
        first, many = self.units[0], counted(self.values.numel(), self.axis.name)
        place = f" of {self.layer}" if self.layer else ""
        name = first.name[:1].upper() + first.name[1:]
        if self.by == "random":
            return f"{name} comes first of {many}{place} in a random order."
        if first.value <= 0:
            return f"None of {many}{place} has a positive {self.measure}."
        share = f"{percent(first.share)} of {self.whole}"
        return f"{name} has the largest {self.measure} of {many}: {number(first.value)}, {share}."

    @property
    def measure(self) -> str:
        known = self.by in _WORDS and "quantity" in self.facts
        return f"{self.by} {_WORDS[self.by]} {self.quantity}" if known else self.by

    @property
    def whole(self) -> str:
        if self.change is not None:
            return f"how far {self.quantity} moves"
        return f"the sum of their absolute {self.by}s"

    @property
    def scale(self) -> float:
        """What values are divided by for shares; shares are 0 where it is 0."""
        return self._every.scale

    def against(self, count: int) -> tuple[UnitInfluence, ...]:
        return self._every.against(count)

    def plot(self) -> Figure:
        """Return the first units, and those that lower the quantity most, as bars."""
        return ranking_figure(self)

    def page(self, command: str | None = None) -> Page:
        return ranking_page(self, command)

    @property
    def _every(self) -> UnitValues:
        return UnitValues(**{f.name: getattr(self, f.name) for f in fields(UnitValues)})


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class JointRanking(UnitOrder):
    """The units of several layers in one order, by their share; behaves as a sequence.

    Attributes:
        layers: each layer's own ranking, by its name; the units know their layer.
    """

    layers: Mapping[str, Ranking]

    @staticmethod
    def of(
        asked: Asked, layers: Mapping[str, Ranking], top: int | None, facts: Mapping[str, Any]
    ) -> JointRanking:
        """Put the units of several layers, each ranked, in one order.

        Contributions are in the quantity's units at every layer; of influences, shares compare.

        Args:
            asked: the call that found it.
            layers: their rankings.
            top: how many units; None: all.
            facts: what else was the case, in words.
        """
        units = [unit for ranking in layers.values() for unit in ranking]
        ordered = tuple(sorted(units, key=lambda unit: -_weight(layers, unit))[:top])
        return JointRanking(asked=asked, units=ordered, facts=facts, layers=layers)

    @property
    def headline(self) -> str:
        first = self.units[0]
        many = f"{counted(sum(len(r.values.flatten()) for r in self.layers.values()), 'unit')} of "
        many += counted(len(self.layers), "layer")
        if first.value <= 0:
            return f"None of {many} raises {self.quantity}."
        name = first.name[:1].upper() + first.name[1:]
        return f"{name} has the largest share of {many}: {percent(first.share)} of {self.whole}."

    @property
    def measure(self) -> str:
        return next(iter(self.layers.values())).measure

    @property
    def whole(self) -> str:
        first = next(iter(self.layers.values()))
        if first.change is not None:
            return f"how far {self.quantity} moves"
        return f"the sum of its layer's absolute {first.by}s"

    def against(self, count: int) -> tuple[UnitInfluence, ...]:
        """Return up to ``count`` units of any layer that lower the quantity, strongest first."""
        every = [unit for ranking in self.layers.values() for unit in ranking.against(count)]
        return tuple(sorted(every, key=lambda unit: _weight(self.layers, unit))[:count])

    def plot(self) -> Figure:
        """Return the first units' shares, and those that lower the quantity most, as bars."""
        return share_figure(self)

    def page(self, command: str | None = None) -> Page:
        return ranking_page(self, command, self.layers)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "layers": {n: r.to_dict() for n, r in self.layers.items()}}


def _weight(layers: Mapping[str, Ranking], unit: UnitInfluence) -> float:
    """Return what units of several layers are compared by."""
    one = next(iter(layers.values()))
    return unit.value if one.by == "contribution" else unit.share

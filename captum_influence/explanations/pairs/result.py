"""What separates two classes for a network: its units, what they look at, what hangs on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.explanations.effects import Effects
from captum_influence.explanations.pairs.moves import Moves
from captum_influence.explanations.pairs.page import pair_page
from captum_influence.explanations.thumbnails import pictured
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted, entry_of, owned, quoted
from captum_influence.units.exemplars import Look
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import strips
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Pair", "SeparatingUnit", "Side"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SeparatingUnit:
    """A unit that separates two classes.

    Attributes:
        unit: which one; its value is the difference of its mean contributions on pictures of the
            first class and of the second, its share that of all units' differences.
        on_first: its mean contribution to score(first) − score(second) on pictures of the first.
        on_second: the same on pictures of the second.
        active_first: its mean activation on pictures of the first.
        active_second: the same on pictures of the second.
        looks: what it looks at in the pictures on which its contribution is largest.
    """

    unit: UnitInfluence
    on_first: float
    on_second: float
    active_first: float
    active_second: float
    looks: tuple[Look, ...] = ()

    @property
    def error(self) -> float:
        """The standard error of the difference; NaN if a class has one picture."""
        error = self.unit.standard_error
        return math.nan if error is None else error

    @property
    def is_for_first(self) -> bool:
        """Whether it acts on pictures of the first class more than on those of the second."""
        return abs(self.active_first) >= abs(self.active_second)

    @property
    def is_clear(self) -> bool:
        """Whether the difference is above two standard errors, or these aren't known."""
        return math.isnan(self.error) or self.unit.value > 2 * self.error

    def strip(self) -> strips.Strip:
        """Return what a figure shows of it; what is evidence for the second is negative."""
        looks = pictured(self.looks)
        value = self.unit.value if self.is_for_first else -self.unit.value
        return strips.Strip(self.unit.name, value, self.error, looks)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        return {
            **self.unit.to_dict(),
            "error": self.error,
            "is_clear": self.is_clear,
            "on_first": self.on_first,
            "on_second": self.on_second,
            "active_first": self.active_first,
            "active_second": self.active_second,
            "looks": [look.to_dict() for look in self.looks],
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Side:
    """One of the two classes.

    Attributes:
        target: its number.
        name: what it is called.
        count: how many pictures of it were asked about.
        units: the units that are evidence for it, the strongest first.
        effects: what removing these does to its lead over the other class, on some of its
            pictures; None without units.
        moves: what becomes of its right answers when these are removed, the first ones first.
        noun: what one of the inputs is called.
    """

    target: int
    name: str
    count: int
    units: tuple[SeparatingUnit, ...]
    effects: Effects | None
    moves: Moves
    noun: str = "picture"

    @property
    def clearest(self) -> SeparatingUnit | None:
        """The first unit whose difference is no accident."""
        return next((row for row in self.units if row.is_clear), None)

    def best(self) -> tuple[int, float, float]:
        """Return how few units move most answers, the share that they move, and by chance."""
        moved = self.moves.moved["contribution"]
        at = moved.index(max(moved))
        half = [i for i, share in enumerate(moved) if share >= max(moved) / 2]
        at = half[0] if max(moved) > 0 else at
        return self.moves.ks[at], moved[at], self.moves.moved["random"][at]

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        return {
            "class": self.target,
            "name": self.name,
            f"{self.noun}s": self.count,
            "units": [unit.to_dict() for unit in self.units],
            "effects": None if self.effects is None else self.effects.to_dict(),
            "moves": self.moves.to_dict(),
        }


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Pair(Finding):
    """What separates two classes at one layer.

    Attributes:
        network: the class of the network.
        layer: the layer's name.
        quantity: score(first) − score(second), in words.
        first: the one class, with the units that are evidence for it.
        second: the other.
        profile: of contributions; its groups are the two classes.
        held_out: whether removal was tried on other pictures than the units were chosen on.
        facts: over which inputs, in words; which percentile masks keep.
        seconds: how long it took.
        noun: what one of the inputs is called.
    """

    network: str
    layer: str
    quantity: str
    first: Side
    second: Side
    profile: InfluenceProfile
    held_out: bool
    facts: Mapping[str, Any]
    seconds: float
    noun: str = "picture"

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.first, self.second

    @property
    def margins(self) -> tuple[float, float]:
        """What all contributions add up to on pictures of the first and of the second."""
        first, second = (float(self.profile.mean(side.target).sum()) for side in self.sides)
        return first, second

    @property
    def channels(self) -> int:
        """How many units the layer has."""
        return len(self.profile.mean(self.first.target))

    @property
    def headline(self) -> str:
        removals = (self._removal(*both) for both in self._directions())
        parts = (self._named(), *removals, self.asked.layer_in_words(self.layer))
        return " ".join(part for part in parts if part)

    def _directions(self) -> tuple[tuple[Side, Side], tuple[Side, Side]]:
        return (self.first, self.second), (self.second, self.first)

    def _named(self) -> str:
        clear = [side.clearest for side in self.sides]
        if clear == [None, None]:
            return (
                f"No {self.kind} of {self.layer} clearly separates {self.first.name} from "
                f"{self.second.name}."
            )
        words = [
            f"no {self.kind} is clear evidence for {side.name}"
            if top is None
            else f"{top.unit.name} is evidence for {side.name} ({percent(top.unit.share)})"
            for side, top in zip(self.sides, clear, strict=True)
        ]
        return (
            f"What separates {self.first.name} from {self.second.name} in {self.layer}: "
            f"{', '.join(words)}."
        )

    def _removal(self, side: Side, other: Side) -> str:
        if not side.units:
            return ""
        if not side.moves.answers:
            none = f"No {self.noun} of {side.name} is answered right"
            return f"{none}, so that its units can't be tried."
        k, share, chance = side.best()
        answers = f"{counted(side.moves.answers, 'answer')} {quoted(side.name)}"
        return (
            f"Without {'the first' if k == 1 else f'the first {k}'} of "
            f"{owned(side.name, 'units')}, {percent(share)} of {answers} become "
            f"{quoted(other.name)}, without {k} at random {percent(chance)}."
        )

    @property
    def kind(self) -> str:
        """What one unit is."""
        units = [row.unit for side in self.sides for row in side.units]
        return units[0].axis if units else "channel"

    def plot(self) -> Figure:
        """Return the units of both classes and where they look as one figure."""
        return strips.strips_figure(
            [row.strip() for side in self.sides for row in side.units],
            title=self.headline,
            unit=f"evidence for {self.second.name} (−) or {self.first.name} (+): difference of "
            "mean contributions",
            measure=f"contribution of each {entry_of(self.noun)} to {self.quantity}",
        )

    def page(self, command: str | None = None) -> Page:
        return pair_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "layer": self.layer,
                "quantity": self.quantity,
                "margins": self.margins,
                "channels": self.channels,
                "first": self.first.to_dict(),
                "second": self.second.to_dict(),
                "held_out": self.held_out,
                "facts": self.facts,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per named unit, the second class's last.

        Raises:
            ImportError: if pandas isn't installed.
        """
        rows = [(side, row) for side in self.sides for row in side.units]
        own = ("error", "is_clear", "on_first", "on_second")
        return frame(
            {
                "class": [side.name for side, _ in rows],
                **{c: [getattr(r.unit, c) for _, r in rows] for c in ("name", "value", "share")},
                **{c: [getattr(row, c) for _, row in rows] for c in own},
            }
        )

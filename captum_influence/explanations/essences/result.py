"""What a class is to a network: its units over many pictures, and how much they carry of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.experts.curves.result import ExpertCurves
from captum_influence.experts.expert import Expert
from captum_influence.explanations.effects import Effects
from captum_influence.explanations.essences.page import essence_page
from captum_influence.explanations.prototypes.result import Prototype
from captum_influence.explanations.thumbnails import pictured
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted, owned
from captum_influence.units.exemplars import Look
from captum_influence.units.interpreted import Example
from captum_influence.units.ranking import By, UnitInfluence
from captum_influence.units.units_of import LayerLike
from captum_influence.visualization import strips
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Essence", "EssentialUnit"]


@dataclass(frozen=True, eq=False, kw_only=True)
class EssentialUnit:
    """A unit of a class, over the class's pictures.

    Attributes:
        unit: which one; its value is the mean of what ranks it, its share that of all units.
        influence: the mean influence on the quantity.
        influence_error: the standard error of that.
        contribution: the mean contribution to the quantity.
        contribution_error: the standard error of that.
        outside: its mean activation on pictures of other classes; None without any.
        looks: what it looks at in the class's pictures on which it contributes most.
        active: the pictures, of any class, on which it is most active.
    """

    unit: UnitInfluence
    influence: float
    influence_error: float
    contribution: float
    contribution_error: float
    outside: float | None
    looks: tuple[Look, ...] = ()
    active: tuple[Example, ...] = ()

    def strip(self, by: By) -> strips.Strip:
        """Return what a figure shows of it."""
        looks = pictured(self.looks)
        error = self.influence_error if by == "influence" else self.contribution_error
        return strips.Strip(self.unit.name, self.unit.value, error, looks)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors, as JSON can hold it."""
        return {
            **self.unit.to_dict(),
            "influence": self.influence,
            "influence_error": self.influence_error,
            "contribution": self.contribution,
            "contribution_error": self.contribution_error,
            "activation_elsewhere": self.outside,
            "looks": [look.to_dict() for look in self.looks],
            "most_active": [
                {"number": e.number, "label": e.label, "value": e.value} for e in self.active
            ],
        }


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Essence(Finding):
    """What a class is to a network at one layer.

    Attributes:
        network: the class of the network.
        layer: the layer's name.
        target: the class's number.
        name: what it is called.
        quantity: what was asked of its pictures, in words.
        by: what ranks the units: influence or contribution.
        units: those with the largest means, the first one first, each with what it looks at.
        effects: what their removal did to the quantity, on some of the class's pictures.
        against: those that lower the quantity most, the strongest first.
        influences: the profile of influences; its group is ``target``.
        contributions: the profile of contributions.
        kept: how well few units alone tell the class from the rest; None without a rest.
        removed: how well the network does without few units.
        prototype: the picture that the class answers to most; None if none was made.
        held_out: whether experts were tried on other pictures than they were chosen on.
        facts: over which inputs, in words; which percentile masks keep.
        seconds: how long it took.
        noun: what one of the inputs is called.
    """

    network: str
    layer: str
    target: int
    name: str
    quantity: str
    by: By
    units: tuple[EssentialUnit, ...]
    effects: Effects
    against: tuple[EssentialUnit, ...]
    influences: InfluenceProfile
    contributions: InfluenceProfile
    kept: ExpertCurves | None
    removed: ExpertCurves
    prototype: Prototype | None
    held_out: bool
    facts: Mapping[str, Any]
    seconds: float
    noun: str = "picture"

    @property
    def count(self) -> int:
        """How many pictures of the class were asked about."""
        return self.influences.count(self.target)

    @property
    def channels(self) -> int:
        """How many units the layer has."""
        return len(self.influences.mean(self.target))

    @property
    def chosen(self) -> tuple[str, int] | None:
        """By which ranking, and how many units, the class is told best: the highest F1."""
        if self.kept is None:
            return None
        best, counts = self.kept.best_k, self.kept.best
        by = max(
            (name for name in counts if name != "random"), key=lambda n: (counts[n].f1, -best[n])
        )
        return by, best[by]

    @property
    def as_good(self) -> dict[str, float]:
        """The best F1 of other rankings that lies within the interval of the best ranking's."""
        if self.kept is None or self.chosen is None:
            return {}
        by, best = self.chosen[0], self.kept.best
        low, _ = best[by].interval("f1")
        return {n: c.f1 for n, c in best.items() if n not in (by, "random") and c.f1 >= low}

    @property
    def needed(self) -> int:
        """How many of the first units have to go for the recall to halve; all that were tried."""
        recalls = self.removed.curve("recall", self.by)
        halved = [k for k, r in zip(self.removed.ks, recalls, strict=True) if self._halves(r)]
        return halved[0] if halved else self.removed.ks[-1]

    def _halves(self, recall: float) -> bool:
        return recall <= self.removed.whole.recall / 2

    def expert(self, model: nn.Module, layer: LayerLike | None = None, **settings: Any) -> Expert:
        """Return the network with only the units that tell the class best.

        Raises:
            ValueError: if there was no rest to tell the class from.
        """
        if self.chosen is None:
            raise ValueError(
                f"expected {self.noun}s of other classes to choose {owned(self.name, 'expert')} "
                "by, got none: give a loader that has some, or Expert.from_profile(..., k=...) a "
                "number"
            )
        by, k = self.chosen
        cut = self.layer if layer is None else layer
        units = cast(ExpertCurves, self.kept).rankings[by][:k]
        return Expert(model, cut, units, "keep", **settings)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The class's first units; how it does without; then what else there is to say."""
        rest = (
            self._alone(),
            self.effects.agreement_in_words(),
            self.asked.layer_in_words(self.layer),
        )
        return (self._first(), self._without(), *(part for part in rest if part))

    @property
    def headline(self) -> str:
        return " ".join(self.sentences)

    def _first(self) -> str:
        top = [row.unit for row in self.units[:3] if row.unit.value > 0]
        if not top:
            return f"No {self.kind} of {self.layer} raises {self.quantity}."
        numbers = _and([str(unit.index[0]) for unit in top])
        share = percent(sum(unit.share for unit in top))
        several = "s" * (len(top) > 1)
        return (
            f"To this network, {self.name} is first of all {self.kind}{several} {numbers} of "
            f"{self.layer}: {share} of all {self.by}s there."
        )

    def _without(self) -> str:
        k, whole = self.needed, self.removed.whole
        pictures = whole.hits + whole.misses
        if not whole.hits:
            return f"It recognises none of {counted(pictures, self.noun)} of {self.name}."
        at = self.removed.ks.index(k)
        after, chance = (
            percent(self.removed.curve("recall", name)[at]) for name in (self.by, "random")
        )
        number = "its strongest" if k == 1 else f"its {k} strongest"
        return (
            f"Of {counted(pictures, self.noun)} of {self.name} it recognises "
            f"{percent(whole.recall)}; without {number} of {self.channels} {self.kind}s "
            f"{after}, without {k} at random {chance}."
        )

    def _alone(self) -> str:
        if self.kept is None or self.chosen is None:
            return ""
        by, k = self.chosen
        at = self.kept.ks.index(k)
        own, chance = (self.kept.curve("f1", name)[at] for name in (by, "random"))
        whole = self.kept.whole.f1
        still = "" if own > whole else "still "  # what the whole network couldn't isn't kept
        return (
            f"With nothing but {counted(k, self.kind)} it {still}tells {self.name} from the "
            f"rest: {own:.2f}, where 1 is always right (the whole network {whole:.2f}, {k} at "
            f"random {chance:.2f}){self._rivals()}."
        )

    def _rivals(self) -> str:
        """Return by what it was best, and what else did as well, in words."""
        by, also = cast("tuple[str, int]", self.chosen)[0], list(self.as_good)
        if not also:
            return f", chosen by {by}"
        return f", chosen by {by}; {_and(also)} {'does' if len(also) == 1 else 'do'} as well"

    @property
    def kind(self) -> str:
        """What one unit is."""
        return self.units[0].unit.axis if self.units else "channel"

    @property
    def measure(self) -> str:
        """What ranks the units, in words."""
        return f"mean {self.by} {'on' if self.by == 'influence' else 'to'} {self.quantity}"

    def plot(self) -> Figure:
        """Return the class's units, where they look, and its expert's curves as one figure."""
        prototype = None if self.prototype is None else self.prototype.image
        return strips.strips_figure(
            [row.strip(self.by) for row in self.units],
            prototype,
            title=f"{self._first()} {self._without()}",
            unit=self.measure,
        )

    def page(self, command: str | None = None) -> Page:
        return essence_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        chosen = self.chosen
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "layer": self.layer,
                "class": self.target,
                "name": self.name,
                "quantity": self.quantity,
                "by": self.by,
                f"{self.noun}s": self.count,
                "channels": self.channels,
                "units": [row.to_dict() for row in self.units],
                "effects": self.effects.to_dict(),
                "against": [row.to_dict() for row in self.against],
                "expert": None if chosen is None else {"by": chosen[0], "k": chosen[1]},
                "as_good": self.as_good,
                "kept": None if self.kept is None else self.kept.to_dict(),
                "removed": self.removed.to_dict(),
                "prototype": None if self.prototype is None else self.prototype.to_dict(),
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
        """Return a ``pandas.DataFrame`` with a row per named unit, those that lower it last.

        Raises:
            ImportError: if pandas isn't installed.
        """
        named = {row.unit.index: row for row in reversed(self.against)}
        rows = [*self.units, *(r for i, r in named.items() if i not in self._indices)]
        means = ("influence", "influence_error", "contribution", "contribution_error")
        return frame(
            {
                **{c: [getattr(row.unit, c) for row in rows] for c in ("name", "value", "share")},
                **{c: [getattr(row, c) for row in rows] for c in means},
                "activation": [row.unit.activation for row in rows],
                "activation_elsewhere": [row.outside for row in rows],
                "effect": [*self.effects.alone, *[None] * (len(rows) - len(self.units))],
            }
        )

    @property
    def _indices(self) -> set[tuple[int, ...]]:
        return {row.unit.index for row in self.units}


def _and(words: list[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

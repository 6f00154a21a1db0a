"""The units without which a network's answer changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.experts.expert import Expert
from captum_influence.explanations.counterfactuals.controls import Collateral, Controls, WrongClass
from captum_influence.explanations.counterfactuals.goals import Outcome, Until
from captum_influence.explanations.counterfactuals.page import counterfactual_page
from captum_influence.explanations.counterfactuals.search import SearchName
from captum_influence.explanations.effects import Effects
from captum_influence.network.cuts import Cut
from captum_influence.network.predictions import Prediction
from captum_influence.reports.display import Display
from captum_influence.reports.page import Page
from captum_influence.reports.shown import Focus
from captum_influence.reports.summary import Summarized, Summary
from captum_influence.reports.words import counted
from captum_influence.units.axes import Axis
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import By, UnitInfluence
from captum_influence.units.selection import Selection
from captum_influence.visualization import charts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Counterfactual"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Counterfactual(Summarized):
    """The units without which a network's answer changes, as verified by removing them.

    Attributes:
        network: the class of the network.
        layer: the layer's name.
        axis: what one unit is.
        true: the name of the class that the network should say.
        predicted: the name of the class that it says.
        answer: the name of the class that it says without the units.
        outcome: ``"true"``: the answer became the true one; ``"other"``: it left the predicted
            class for a third; ``"none"``: it stayed.
        until: whether the answer was to become right, or only another.
        search: how units were looked for.
        units: the units, in the order of removal, with what ranked them on the untouched input;
            none of them can be left out. If the goal wasn't reached, all that were tried.
        tried: how many were removed before any was put back.
        quantity: what they were ranked by, in words.
        by: whether by their contribution to it or by their influence on it.
        focus: what maps show, see :class:`Shown`.
        effects: what removing each unit alone did to the quantity, beside what was estimated.
        margins: score(predicted) − score(true) after removing none, the first, two, ... of them.
        controls: random sets of the same size; None if nothing is active, or none were asked for.
        wrong: what the same search takes to reach classes that are wrong; empty where there is no
            third class; None if it wasn't asked, or any other answer would do.
        collateral: what happens to other answers; None without a loader.
        before: what the network scores the classes that matter here, the one that it says first.
        after: the same classes without the units.
        seen: what each unit looks at in the input; empty if that wasn't asked, or can't be shown.
        display: the input, as it is shown; None if nothing says how.
        replaced_by: what took the units' place: a number, or shaped like the input's activations.
        facts: what else was the case: the distribution in words, the seed, ...
        seconds: how long it took.
    """

    network: str
    layer: str
    axis: Axis
    true: str
    predicted: str
    answer: str
    outcome: Outcome
    until: Until
    search: SearchName
    units: tuple[UnitInfluence, ...]
    tried: int
    quantity: str
    by: By
    focus: Focus
    effects: Effects
    margins: tuple[float, ...]
    controls: Controls | None
    wrong: tuple[WrongClass, ...] | None
    collateral: Collateral | None
    before: tuple[Prediction, ...]
    after: tuple[Prediction, ...]
    seen: tuple[InterpretedUnit, ...]
    display: Display | None
    replaced_by: Tensor
    facts: Mapping[str, Any]
    seconds: float

    @property
    def flipped(self) -> bool:
        """Whether the answer became the true one."""
        return self.outcome == "true"

    @property
    def reached(self) -> bool:
        """Whether the answer became what was asked for."""
        return self.flipped or (self.until == "changed" and self.outcome == "other")

    @property
    def nearer(self) -> bool | None:
        """Whether the true class took fewer units than every wrong one did.

        None if the true class wasn't reached, or there is no wrong one to compare with.
        """
        if not self.wrong or not self.flipped:
            return None
        return all(len(self.units) < one.units for one in self.wrong if one.reached)

    @property
    def verdict(self) -> str:
        """What follows from the comparison with wrong classes, in words."""
        if self.nearer:
            return "the truth took fewer"
        if not self.flipped:
            return "the truth wasn't reached"
        if self.nearer is None:
            return "there is nothing to compare the truth with"
        return "the truth took no fewer, so this is no evidence that these units caused the mistake"

    @property
    def picture(self) -> Tensor | None:
        """(3, height, width) in [0, 1]; None if the input is no picture."""
        return getattr(self.display, "picture", None)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found: the answer and the truth, the removal, what it is compared with."""
        return tuple(_sentences(self))

    @property
    def summary(self) -> Summary:
        found, drawn = self.reached, self.controls
        led = None if drawn is None else drawn.away if self.until == "changed" else drawn.to_true
        worse = {True: "fewer than wrong classes", False: "no fewer", None: ""}[self.nearer]
        return Summary(
            sentence=" ".join(self.sentences[:2]),
            columns={
                "says": self.predicted,
                "probability": self.before[0].probability,
                "truth": self.true,
                "units needed": len(self.units) if found else None,
                "then says": self.answer,
                "random sets that do": led,
                "of": None if drawn is None else drawn.sets,
                "beside wrong ones": worse,
            },
            about="Units needed: without these the answer is the asked one; a dash: not within the "
            "units that were tried. Random sets: as many active units, drawn at random.",
            main="units needed",
            picture=self.picture,
        )

    @property
    def headline(self) -> str:
        layer = self.asked.layer_in_words(self.layer, self.axis.in_words())
        return " ".join((*self.sentences, layer)).strip()

    def expert(self, model: nn.Module, layer: nn.Module | str | Cut, **settings: Any) -> Expert:
        """Return the network without the units, to be tried on other inputs.

        Unless ``replace`` is among the settings, what takes their place is what took it here.
        """
        units = Selection.ensure(self.units, self.axis)
        return Expert(model, layer, units, "remove", **{"replace": self.replaced_by, **settings})

    def shown_by_map(self, unit: UnitInfluence) -> str:
        """Return what the map of a unit is about: the unit, or the quantity through the unit."""
        through = self.focus == "quantity"
        return f"{self.quantity} through {unit.name}" if through else unit.name

    @property
    def flip(self) -> charts.Flip:
        """What a figure shows of it."""
        return charts.Flip(
            names=[unit.name for unit in self.units],
            values=[unit.value for unit in self.units],
            margins=self.margins,
            controls=np.asarray(self.controls.margins if self.controls else ()),
            quantity=self.lead,
            measure=self.by,
        )

    @property
    def lead(self) -> str:
        """What the margins are, in words."""
        return f"score({self.predicted}) − score({self.true})"

    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure: the picture, the units, the margin."""
        return charts.flip_figure(self.picture, self.flip, title=self.headline)

    def page(self, command: str | None = None) -> Page:
        return counterfactual_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "layer": self.layer,
                "true": self.true,
                "predicted": self.predicted,
                "answer": self.answer,
                "outcome": self.outcome,
                "until": self.until,
                "search": self.search,
                "before": [asdict(prediction) for prediction in self.before],
                "after": [asdict(prediction) for prediction in self.after],
                "units": [unit.to_dict() for unit in self.units],
                "tried": self.tried,
                "seen": [row.to_dict() for row in self.seen],
                "quantity": self.quantity,
                "by": self.by,
                "focus": self.focus,
                "effects": self.effects.to_dict(),
                "margins": self.margins,
                "controls": self.controls,
                "wrong": self.wrong,
                "nearer": self.nearer,
                "collateral": self.collateral,
                "display": None if self.display is None else self.display.to_dict(),
                "facts": self.facts,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row for each removal, the first of no unit.

        ``estimate`` and ``alone`` are of the unit by itself: what ranked it on the untouched input,
        and how much of the quantity its removal took.

        Raises:
            ImportError: if pandas isn't installed.
        """
        return frame(
            {
                "removed": range(len(self.margins)),
                "name": ["", *(unit.name for unit in self.units)],
                "estimate": [0.0, *(unit.value for unit in self.units)],
                "alone": [0.0, *self.effects.alone],
                "share": [0.0, *(unit.share for unit in self.units)],
                "margin": self.margins,
            }
        )


def _sentences(found: Counterfactual) -> Iterator[str]:
    """Yield what was found, a sentence at a time."""
    yield f"The network says {found.predicted}; the truth is {found.true}."
    yield _removal(found)
    if found.wrong:
        yield f"{_towards(found.wrong)}: {found.verdict}."
    elif found.wrong is not None:
        yield "There are two classes: no wrong one is left to compare the search with."
    if found.controls is not None:
        yield _drawn(found.controls, found)
    if found.collateral is not None:
        yield _damage(found.collateral)


def _removal(found: Counterfactual) -> str:
    if not found.units:
        return f"No {found.axis.name} of {found.layer} raises {found.quantity}."
    still = "still " if found.outcome == "none" else ""
    removed = counted(len(found.units), found.axis.name)
    return f"Without {removed} of {found.layer} it {still}says {found.answer}."


def _towards(wrong: Sequence[WrongClass]) -> str:
    """Return what wrong classes took, those that were reached first."""
    met = [f"{one.units} for {one.name} ({one.where})" for one in wrong if one.reached]
    missed = [f"{one.name} ({one.where})" for one in wrong if not one.reached]
    parts = []
    if met:
        parts.append(f"took {_joined(met)}")
    if missed:
        parts.append(f"didn't get to {_joined(missed, 'or')}")
    return f"Towards wrong classes the same search {_joined(parts)}"


def _joined(parts: Sequence[str], word: str = "and") -> str:
    *rest, last = parts
    return f"{', '.join(rest)} {word} {last}" if rest else last


def _drawn(controls: Controls, found: Counterfactual) -> str:
    drawn = counted(controls.size, f"active {found.axis.name}")
    if found.until == "changed":
        return f"Of {controls.sets} random draws of {drawn}, {controls.away} changed the answer."
    leads = "leads" if controls.to_true == 1 else "lead"
    return (
        f"Of {controls.sets} random draws of {drawn}, {controls.to_true} {leads} to {found.true}."
    )


def _damage(loss: Collateral) -> str:
    before, after = (f"{100 * x:.1f}\u00a0%" for x in (loss.before, loss.after))
    return f"Accuracy on {loss.examples} other inputs: {before} before, {after} after."

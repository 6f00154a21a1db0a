"""The units without which a network's answer changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.experts.expert import Expert
from captum_influence.explanations.counterfactuals.page import counterfactual_page
from captum_influence.explanations.counterfactuals.search import Collateral, Controls, Outcome
from captum_influence.network.cuts import Cut
from captum_influence.network.predictions import Prediction
from captum_influence.reports.display import Display
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.shown import Focus
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
class Counterfactual(Finding):
    """The units without which a network's answer changes, as verified by removing them.

    Attributes:
        network: the class of the network.
        layer: the layer's name.
        axis: what one unit is.
        true: the name of the class that the network should say.
        predicted: the name of the class that it says.
        answer: the name of the class that it says without the units.
        outcome: ``"true"``: the answer became the true one; ``"other"``: it left the predicted
            class for a third; ``"none"``: it stayed, without all units that were tried.
        units: the units, with what ranks them; none of them can be left out of a flip.
        quantity: what they were ranked by, in words.
        by: whether by their contribution to it or by their influence on it.
        focus: what maps show, see :class:`Shown`.
        margins: score(predicted) − score(true) after removing none, the first, two, ... of them.
        controls: random sets of the same size; None if nothing is active, or none were asked for.
        collateral: what happens to other answers; None without a loader.
        before: what the network scores the classes that matter here, the one that it says first.
        after: the same classes without the units.
        seen: what each unit looks at in the input; empty if that wasn't asked, or can't be shown.
        display: the input, as it is shown; None if nothing says how.
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
    units: tuple[UnitInfluence, ...]
    quantity: str
    by: By
    focus: Focus
    margins: tuple[float, ...]
    controls: Controls | None
    collateral: Collateral | None
    before: tuple[Prediction, ...]
    after: tuple[Prediction, ...]
    seen: tuple[InterpretedUnit, ...]
    display: Display | None
    facts: Mapping[str, Any]
    seconds: float

    @property
    def flipped(self) -> bool:
        """Whether the answer became the true one."""
        return self.outcome == "true"

    @property
    def picture(self) -> Tensor | None:
        """(3, height, width) in [0, 1]; None if the input is no picture."""
        return getattr(self.display, "picture", None)

    @property
    def headline(self) -> str:
        said = f"The network says {self.predicted}; the truth is {self.true}."
        return " ".join(p for p in (said, self._removal(), self._control(), self._damage()) if p)

    def _removal(self) -> str:
        if not self.units:
            return f"No unit of {self.layer} raises {self.quantity}."
        still = "still " if self.outcome == "none" else ""
        removed = counted(len(self.units), self.axis.name)
        return f"Without {removed} of {self.layer} it {still}says {self.answer}."

    def _control(self) -> str:
        if self.controls is None:
            return ""
        drawn = counted(self.controls.size, f"active {self.axis.name}")
        leads = "leads" if self.controls.to_true == 1 else "lead"
        return (
            f"Of {self.controls.sets} random draws of {drawn}, {self.controls.to_true} {leads} to "
            f"{self.true}."
        )

    def _damage(self) -> str:
        if self.collateral is None:
            return ""
        before, after = (
            f"{100 * x:.1f}\u00a0%" for x in (self.collateral.before, self.collateral.after)
        )
        return (
            f"Accuracy on {self.collateral.examples} other inputs: {before} before, {after} after."
        )

    def expert(self, model: nn.Module, layer: nn.Module | str | Cut, **settings: Any) -> Expert:
        """Return the network without the units, to be tried on other inputs."""
        return Expert(model, layer, Selection.ensure(self.units, self.axis), "remove", **settings)

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
            quantity=self.quantity,
            measure=self.by,
        )

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
                "before": [asdict(prediction) for prediction in self.before],
                "after": [asdict(prediction) for prediction in self.after],
                "units": [unit.to_dict() for unit in self.units],
                "seen": [row.to_dict() for row in self.seen],
                "quantity": self.quantity,
                "by": self.by,
                "focus": self.focus,
                "margins": self.margins,
                "controls": self.controls,
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

        Raises:
            ImportError: if pandas isn't installed.
        """
        return frame(
            {
                "removed": range(len(self.margins)),
                "name": ["", *(unit.name for unit in self.units)],
                "value": [0.0, *(unit.value for unit in self.units)],
                "share": [0.0, *(unit.share for unit in self.units)],
                "margin": self.margins,
            }
        )

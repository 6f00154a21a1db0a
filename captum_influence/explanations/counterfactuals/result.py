"""The units without which a network's answer changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from captum_influence.experts.expert import Expert
from captum_influence.explanations.counterfactuals.page import counterfactual_page
from captum_influence.explanations.counterfactuals.search import Collateral, Controls, Outcome
from captum_influence.network.cuts import Cut
from captum_influence.network.predictions import Prediction
from captum_influence.reports.page import Page
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import charts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from captum_influence.reports.finding import Finding

__all__ = ["Counterfactual"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Counterfactual(Finding):
    """The units without which a network's answer changes, as verified by removing them.

    Attributes:
        network: the class of the network.
        layer: the layer's name.
        true: the name of the class that the network should say.
        predicted: the name of the class that it says.
        answer: the name of the class that it says without the units.
        outcome: ``"true"``: the answer became the true one; ``"other"``: it left the predicted
            class for a third; ``"none"``: it stayed, without all units that were tried.
        units: the units, with their contributions; none of them can be left out of a flip.
        quantity: what they were ranked by, in words.
        margins: score(predicted) − score(true) after removing none, the first, two, ... of them.
        controls: random sets of the same size; None if nothing is active, or none were asked for.
        collateral: what happens to other answers; None without a loader.
        before: what the network scores the classes that matter here, first the one that it says.
        after: the same classes without the units.
        seen: what each unit looks at in the picture; empty if it is none.
        picture: (3, height, width) in [0, 1]; None if the input is no picture.
        settings: the arguments, JSON-able.
    """

    network: str
    layer: str
    true: str
    predicted: str
    answer: str
    outcome: Outcome
    units: tuple[UnitInfluence, ...]
    quantity: str
    margins: tuple[float, ...]
    controls: Controls | None
    collateral: Collateral | None
    before: tuple[Prediction, ...]
    after: tuple[Prediction, ...]
    seen: tuple[InterpretedUnit, ...]
    picture: Tensor | None

    @property
    def flipped(self) -> bool:
        """Whether the answer became the true one."""
        return self.outcome == "true"

    @property
    def headline(self) -> str:
        """The finding in words, saying no more than was measured."""
        said = f"The network says {self.predicted}; the truth is {self.true}."
        return " ".join(p for p in (said, self._removal(), self._control(), self._damage()) if p)

    def _removal(self) -> str:
        if not self.units:
            return f"No unit of {self.layer} speaks for {self.predicted} rather than {self.true}."
        still = "still " if self.outcome == "none" else ""
        removed = self._named(len(self.units))
        return f"Without {removed} of {self.layer} it {still}says {self.answer}."

    def _named(self, count: int, kind: str = "") -> str:
        return f"{count} {kind}{self.units[0].axis}{'s' * (count > 1)}"

    def _control(self) -> str:
        if self.controls is None:
            return ""
        return (
            f"Of {self.controls.sets} random draws of "
            f"{self._named(self.controls.size, 'active ')}, {self.controls.to_true} "
            f"lead{'s' * (self.controls.to_true == 1)} to {self.true}."
        )

    def _damage(self) -> str:
        if self.collateral is None:
            return ""
        before, after = (
            f"{100 * x:.1f}\u00a0%" for x in (self.collateral.before, self.collateral.after)
        )
        return (
            f"Accuracy on {self.collateral.examples} other images: {before} before, {after} after."
        )

    def expert(self, model: nn.Module, layer: nn.Module | str | Cut, **settings: Any) -> Expert:
        """Return the network without the units, to be tried on other inputs."""
        return Expert(model, layer, self.units, "remove", **settings)

    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure: the picture, the units, the margin."""
        return charts.flip_figure(self.picture, self.flip, title=self.headline)

    @property
    def flip(self) -> charts.Flip:
        """What a figure shows of it."""
        return charts.Flip(
            [unit.name for unit in self.units],
            [unit.value for unit in self.units],
            self.margins,
            np.asarray(self.controls.margins if self.controls else ()),
            self.quantity,
        )

    @property
    def call(self) -> str:
        """The Python call that asks the same again."""
        lines = [f"    {name}={value!r}," for name, value in self.settings.items()]
        first = f"    model, image, {self.layer!r},"
        return "\n".join(["counterfactual(", first, *lines, ")"])

    def page(self, command: str | None = None) -> Page:
        return counterfactual_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the picture, as JSON can hold it."""
        return {
            "headline": self.headline,
            "layer": self.layer,
            "true": self.true,
            "predicted": self.predicted,
            "answer": self.answer,
            "outcome": self.outcome,
            "before": [asdict(prediction) for prediction in self.before],
            "after": [asdict(prediction) for prediction in self.after],
            "units": [_plain_unit(unit) for unit in self.units],
            "seen": [row.to_dict() for row in self.seen],
            "quantity": self.quantity,
            "margins": list(self.margins),
            "controls": None if self.controls is None else _listed(asdict(self.controls)),
            "collateral": None if self.collateral is None else asdict(self.collateral),
            "settings": dict(self.settings),
        }


def _plain_unit(unit: UnitInfluence) -> dict[str, Any]:
    return {**asdict(unit), "name": unit.name, "index": list(unit.index)}


def _listed(content: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in content.items()}

"""The answer of ``explain``: what was asked, which units matter, what each of them looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.explanations.effects import Effects
from captum_influence.explanations.instances.headline import (
    answer_in_words,
    estimate_in_words,
    place_in_words,
    strongest_in_words,
)
from captum_influence.explanations.instances.page import explanation_page
from captum_influence.explanations.overlays import Overlay
from captum_influence.network.predictions import Prediction
from captum_influence.reports.display import Display, Highlight, Row
from captum_influence.reports.page import Page
from captum_influence.reports.shown import Focus
from captum_influence.reports.summary import Summarized, Summary
from captum_influence.units.axes import Aggregate
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.ranking import By, UnitInfluence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explanation"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Explanation(Summarized):
    """Why a network said what it said about one input, at one layer.

    Attributes:
        network: the class of the network.
        layer: the layer's name.
        quantity: what was asked, in words.
        rival: the class that the predicted one was compared with, by name; None without one.
        targets: the classes whose scores were asked about, the one that is raised first.
        predictions: the classes with the highest scores, and those that were asked about; empty if
            the output isn't one score each.
        without: what the network says without each of the units, and last without all of them;
            empty without classes.
        units: the units that raise the quantity most, each interpreted.
        against: the units that lower it most.
        values: what every unit of the layer did, one entry each.
        overlay: of a picture, the map of the whole answer that stood its test best; else None.
        display: the input, as it is shown; ``picture`` is (3, height, width) in [0, 1].
        value: the quantity on the input.
        delta: along a path, how far the sum of contributions is from the quantity's change; else
            None.
        effects: what removing the shown units did, beside the estimates and random units.
        cautions: what speaks against the path's baseline, in sentences.
        by: what ranks units.
        aggregate: how a unit's entries are pooled.
        focus: what maps show, see :class:`Shown`.
        facts: what else was the case: the distribution in words, number of points, device, ...
        seconds: how long it took.

    Example:
        >>> from captum_influence import explain
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> found = explain(load_demo_network(), demo_scene().image, "relu5", 0, top=1)
        >>> found.quantity
        'score(class 0)'
    """

    network: str
    layer: str
    quantity: str
    rival: str | None
    targets: tuple[int, ...]
    predictions: tuple[Prediction, ...]
    without: tuple[Prediction, ...]
    units: tuple[InterpretedUnit, ...]
    against: tuple[UnitInfluence, ...]
    values: Tensor
    display: Display
    value: float
    delta: float | None
    effects: Effects
    cautions: tuple[str, ...]
    overlay: Overlay | None
    by: By
    aggregate: Aggregate
    focus: Focus
    facts: Mapping[str, Any]
    seconds: float

    @property
    def headline(self) -> str:
        first, effects = self.units[0], self.effects
        parts = (
            self.answer,
            estimate_in_words(first.unit, effects, self.by),
            effects.agreement_in_words() if first.unit.value > 0 else "",
            place_in_words(first, self.focus),
            self.asked.layer_in_words(self.layer, self.facts["units"]),
            *self.cautions,
        )
        return " ".join(part for part in parts if part)

    @property
    def answer(self) -> str:
        """One sentence: what the network says, and what it says without the first unit."""
        said = self.predictions[0] if self.predictions else None
        answer = answer_in_words(self.predictions, self.rival, self.targets)
        strongest = strongest_in_words(
            self.units[0].unit,
            self.layer,
            self.quantity,
            said=said,
            targets=self.targets,
            lost=self.effects.alone[0],
            without=self.without[0] if self.without else None,
        )
        return f"{answer}; {strongest}." if answer else f"{strongest[:1].upper()}{strongest[1:]}."

    @property
    def summary(self) -> Summary:
        said = self.predictions[0] if self.predictions else None
        without = self.without[0] if self.without else None
        columns: dict[str, str | float | None] = {}
        if said is not None:
            columns |= {"says": said.name, "probability": said.probability}
        columns |= {
            "top unit": self.units[0].unit.name,
            "its effect": self.effects.alone[0],
            "of a random unit": self.effects.random_alone,
        }
        if without is not None:
            columns["without it says"] = without.name
        return Summary(
            sentence=self.answer,
            columns=columns,
            about="Its effect: what is lost of what was asked about when the top unit is removed; "
            "of a random unit: the mean size of that over units drawn at random.",
            main="its effect",
            picture=getattr(self.display, "picture", None),
        )

    @property
    def picture(self) -> Tensor:
        """(3, height, width) in [0, 1], of a picture.

        Raises:
            AttributeError: if the input is none.
        """
        picture: Tensor = self.display.picture  # type: ignore[attr-defined]  # said above
        return picture

    @property
    def together(self) -> Highlight:
        """The maps of all units that are shown, added up."""
        maps = torch.stack([row.seen.map.float() for row in self.units])
        return self.display.highlight(maps.sum(dim=0))

    def shown_by_map(self, unit: UnitInfluence) -> str:
        """Return what the map of a unit is about: the unit, or the quantity through the unit."""
        through = self.focus == "quantity"
        return f"{self.quantity} through {unit.name}" if through else unit.name

    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure: the input, the units, their maps."""
        rows = [Row(row.unit.name, row.unit.share, row.seen) for row in self.units]
        return self.display.overview(rows, self.headline)

    def page(self, command: str | None = None) -> Page:
        return explanation_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "layer": self.layer,
                "quantity": self.quantity,
                "value": self.value,
                "delta": self.delta,
                "effects": self.effects.to_dict(),
                "cautions": self.cautions,
                "overlay": None if self.overlay is None else self.overlay.to_dict(),
                "by": self.by,
                "aggregate": self.aggregate,
                "focus": self.focus,
                "targets": self.targets,
                "predictions": [asdict(prediction) for prediction in self.predictions],
                "without": [asdict(prediction) for prediction in self.without],
                "units": [unit.to_dict() for unit in self.units],
                "against": [unit.to_dict() for unit in self.against],
                "display": self.display.to_dict(),
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
        named = {row.unit.index: row.unit for row in self.units}
        named |= {unit.index: unit for unit in reversed(self.against) if unit.index not in named}
        columns = ("name", "value", "share", "activation", "reference")
        table = {c: [getattr(unit, c) for unit in named.values()] for c in columns}
        effects = [*self.effects.alone, *[None] * (len(named) - len(self.units))]
        return frame({**table, "effect": effects})

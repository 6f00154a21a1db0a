"""A picture made to excite a class or a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.explanations.prototypes.page import prototype_page
from captum_influence.reports.page import Page
from captum_influence.visualization import charts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from captum_influence.reports.finding import Finding

__all__ = ["Prototype"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Prototype(Finding):
    """A picture made to raise a quantity.

    Attributes:
        image: (3, height, width) in [0, 1].
        history: the quantity at each step, on the picture as it was seen then.
        value: the quantity on ``image`` itself.
        start: the same on the picture that the search began with.
        quantity: what was raised, in words.
        layer: where a unit was read; None for an output.
        settings: the arguments, JSON-able.
    """

    image: Tensor
    history: tuple[float, ...]
    value: float
    start: float
    quantity: str
    layer: str | None

    @property
    def headline(self) -> str:
        """What it is, in words."""
        place = "" if self.layer is None else f" of {self.layer}"
        return (
            f"A picture made for {self.quantity}{place}: from {self.start:.3g} to {self.value:.3g}"
        )

    def plot(self) -> Figure:
        """Return the picture, and how the quantity rose, as one Matplotlib figure."""
        return charts.prototype_figure(self.image, self.history, title=self.headline)

    def page(self, command: str | None = None) -> Page:
        return prototype_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the picture, as JSON can hold it."""
        return {
            "headline": self.headline,
            "quantity": self.quantity,
            "layer": self.layer,
            "value": self.value,
            "start": self.start,
            "history": list(self.history),
            "settings": dict(self.settings),
        }

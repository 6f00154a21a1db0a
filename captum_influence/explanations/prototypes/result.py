"""A picture made to excite a class or a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.explanations.prototypes.images import Prior
from captum_influence.explanations.prototypes.page import prototype_page
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.visualization import charts
from captum_influence.visualization.numbers import beside, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Prototype"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Prototype(Finding):
    """A picture made to raise a quantity.

    Attributes:
        network: the class of the network.
        image: (3, height, width) in [0, 1].
        history: the quantity at each step, on the picture as it was seen then.
        value: the quantity on ``image`` itself.
        start: the same on the picture that the search began with.
        quantity: what was raised, in words.
        layer: where a unit was read; None for an output.
        prior: what was known of pictures.
        learning_rate: of Adam.
        seed: of the first picture and of all shifts.
        seconds: how long it took.
    """

    network: str
    image: Tensor
    history: tuple[float, ...]
    value: float
    start: float
    quantity: str
    layer: str | None
    prior: Prior
    learning_rate: float
    seed: int
    seconds: float

    @property
    def headline(self) -> str:
        place = "" if self.layer is None else f" of {self.layer}"
        rise = f"from {beside(self.start, self.value)} to {number(self.value)}"
        return f"This picture raises {self.quantity}{place} {rise}, as far as the search went"

    def plot(self) -> Figure:
        """Return the picture, and how the quantity rose, as one Matplotlib figure."""
        return charts.prototype_figure(self.image, self.history, title=self.headline)

    def page(self, command: str | None = None) -> Page:
        return prototype_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "quantity": self.quantity,
                "layer": self.layer,
                "value": self.value,
                "start": self.start,
                "size": self.image.shape[1:],
                "history": self.history,
                "prior": self.prior,
                "learning_rate": self.learning_rate,
                "seed": self.seed,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row for each step.

        Raises:
            ImportError: if pandas isn't installed.
        """
        return frame({"step": range(1, len(self.history) + 1), "value": self.history})

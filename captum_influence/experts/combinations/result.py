"""What units do together, beside what they do alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.experts.combinations.page import combination_figure, combination_page
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Combination"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Combination(Finding):
    """What removing units together does to a quantity, beside what removing each alone does.

    Attributes:
        network: the class of the network.
        layers: the layers' names.
        units: what the units are called.
        quantity: what was asked, in words.
        value: (examples,) the quantity.
        joint: (examples,) how far it falls when all units are removed at once.
        alone: (examples, units) how far it falls when only that unit is removed.
        estimate: (examples,) the units' contributions, each without what it does through later ones
            of the set: what gradients say of ``joint``, without removing anything.
        distribution: over which inputs these were measured, in words.
        replaced_by: what took the place of removed units, in words.
        seconds: how long it took.
    """

    network: str
    layers: tuple[str, ...]
    units: tuple[str, ...]
    quantity: str
    value: Tensor
    joint: Tensor
    alone: Tensor
    estimate: Tensor
    distribution: str
    replaced_by: str
    seconds: float

    @property
    def added(self) -> Tensor:
        """(examples,) what removing each alone does, added up."""
        return self.alone.sum(dim=1)

    @property
    def interaction(self) -> Tensor:
        """(examples,) ``joint − added``: what can't be seen one by one.

        For units that raise the quantity, above zero they stand in for each other (redundancy): one
        alone isn't missed. Below zero each needs the others (synergy): a gate and its signal, or
        two units in one chain, whose single effects count the same thing twice.
        """
        return self.joint - self.added

    @property
    def headline(self) -> str:
        joint, added = float(self.joint.mean()), float(self.added.mean())
        return (
            f"Removing {counted(len(self.units), 'unit')} together changes {self.quantity} by "
            f"{number(-joint)} (estimated: {number(-float(self.estimate.mean()))}); removing each "
            f"alone, added up, by {number(-added)}."
        )

    def plot(self) -> Figure:
        """Return how far the quantity falls, together and one by one, as bars."""
        return combination_figure(self)

    def page(self, command: str | None = None) -> Page:
        return combination_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "layers": self.layers,
                "units": self.units,
                "quantity": self.quantity,
                "value": self.value,
                "joint": self.joint,
                "added": self.added,
                "interaction": self.interaction,
                "alone": self.alone,
                "estimate": self.estimate,
                "distribution": self.distribution,
                "replaced_by": self.replaced_by,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per unit, and its effect on each example.

        Raises:
            ImportError: if pandas isn't installed.
        """
        columns: dict[str, Any] = {"unit": self.units, "mean": self.alone.mean(dim=0)}
        columns |= {f"example {i}": row for i, row in enumerate(self.alone)}
        return frame(columns)

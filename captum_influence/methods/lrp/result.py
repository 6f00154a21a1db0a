"""What flowed back to each layer, and whether nothing got lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.methods.lrp.captum_backend import Propagation
from captum_influence.methods.lrp.page import relevance_page
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.visualization.grids import Scale, map_grid, plane_of
from captum_influence.visualization.numbers import number, percent
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Relevance", "conservation_error"]

_INPUT = "input"  # what the map is called beside the layers


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Relevance(Finding):
    """A relevance map and how much of the output it accounts for.

    Attributes:
        network: the class of the network.
        quantity: what was distributed, in words.
        map: shaped like the inputs.
        output: (examples,), the score that was distributed.
        conservation_error: (examples,), how far the map's sum is from the output, as a share of the
            output's size. What is missing was absorbed by biases and by ε.
        rules: dotted name of a module -> the name of its rule.
        layers: the relevance of the units of each layer that was asked for, by its name.
        by: who propagated it.
        pictures: each example as (3, height, width) in [0, 1]; empty if they aren't pictures.
        seconds: how long it took.
    """

    network: str
    quantity: str
    map: Tensor
    output: Tensor
    conservation_error: Tensor
    rules: Mapping[str, str]
    layers: Mapping[str, Tensor]
    by: Propagation
    pictures: tuple[Tensor, ...]
    seconds: float

    def error_at(self, layer: str) -> Tensor:
        """Return the conservation error of a layer, or of the ``"input"``, (examples,).

        It says where relevance goes missing, at layers that everything passes; beside a skip
        connection, what is missing went around.
        """
        return conservation_error(self.relevances[layer], self.output)

    @property
    def relevances(self) -> dict[str, Tensor]:
        """Relevance by the name of its place, the input first; each (examples, ...)."""
        return {_INPUT: self.map, **self.layers}

    @property
    def headline(self) -> str:
        count, worst = len(self.output), percent(float(self.conservation_error.max()))
        if count > 1:
            return (
                f"Relevance hands {self.quantity} down to {counted(count, 'input')}; what arrives "
                f"there is off by {worst} of it at most."
            )
        return (
            f"Relevance hands {self.quantity}, {number(float(self.output[0]))}, down to the input; "
            f"what arrives there is off by {worst} of it."
        )

    def plot(self, *, example: int = 0, scale: Scale = "each", theme: Theme = LIGHT) -> Figure:
        """Draw one example's relevance as a grid: at the input, then at each layer.

        Args:
            example: which one.
            scale: ``"each"``: every map up to its own limit, for where; ``"shared"``: all up to the
                largest, for how much. The title says which.
            theme: colours of text and paper.

        Raises:
            ValueError: for another scale.
        """
        planes = {name: plane_of(values[example]) for name, values in self.relevances.items()}
        picture = self.pictures[example] if self.pictures else None
        return map_grid(planes, picture, scale, theme)

    def page(self, command: str | None = None) -> Page:
        return relevance_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "quantity": self.quantity,
                "output": self.output,
                "conservation_error": self.conservation_error,
                "rules": self.rules,
                "by": type(self.by).__name__,
                "places": {
                    name: {
                        "shape": list(values.shape),
                        "sum": values.double().flatten(1).sum(1),
                        "error": self.error_at(name),
                    }
                    for name, values in self.relevances.items()
                },
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row for each example at each place.

        Raises:
            ImportError: if pandas isn't installed.
        """
        count = len(self.output)
        whole = self.relevances
        errors = [self.error_at(name) for name in whole]
        return frame(
            {
                "place": [name for name in whole for _ in range(count)],
                "example": list(range(count)) * len(whole),
                "relevance": torch.cat([v.double().flatten(1).sum(1) for v in whole.values()]),
                "output": self.output.repeat(len(whole)),
                "error": torch.cat(errors),
            }
        )


def conservation_error(values: Tensor, output: Tensor) -> Tensor:
    """Return how far sums of relevance (examples, ...) are from the output, as a share of it."""
    total = values.flatten(1).sum(1)
    return torch.where(output == 0, total.abs(), (total - output).abs() / output.abs())

"""How much each training image's label looks wrong, by three scores side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.training.page import Table, training_page
from captum_influence.visualization.maps import unit_bars
from captum_influence.visualization.numbers import number, share
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LabelErrors"]

_SHOWN = 20

_METHOD = (
    "The score is the mean of two ranks, from 0 to 1: by the network's loss on the training image "
    "with its label, and by the share of the image's nearest neighbours, in what a layer reads, "
    "that have another label. The suggested class is the most frequent one among the neighbours."
)
_CAVEATS = (
    "A rare or hard image with the right label looks like a mislabelled one: look at it before you "
    "change a label.",
    "A network that was trained until it fits every label has a small loss on the wrong ones too: "
    "ask one that was stopped earlier, or several.",
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LabelErrors(Finding):
    """Training images ranked by how much their labels look wrong.

    Attributes:
        labels: the classes they are labelled with, (examples,).
        suggested: the most frequent class among their neighbours, (examples,).
        loss: on their labels, (examples,).
        disagreement: the share of their neighbours with another label, (examples,).
        self_influence: (examples,).
        class_names: a name for each label.
    """

    labels: Tensor
    suggested: Tensor
    loss: Tensor
    disagreement: Tensor
    self_influence: Tensor
    class_names: Mapping[int, str]

    @property
    def score(self) -> Tensor:
        """The mean of the ranks by loss and by disagreement, in [0, 1], 1 the most suspicious."""
        return (_rank(self.loss) + _rank(self.disagreement)) / 2

    @property
    def ranking(self) -> Tensor:
        """The indices of all training images, the most suspicious first."""
        return self.score.argsort(descending=True, stable=True)

    @property
    def headline(self) -> str:
        first = int(self.ranking[0])
        return (
            f"Of {len(self.labels)} training examples, the label of number {first}, "
            f"{self._name(self.labels[first])}, looks most like an error: the loss on it is "
            f"{number(float(self.loss[first]))}, and {share(float(self.disagreement[first]))} of "
            f"its neighbours have another label, most often {self._name(self.suggested[first])}."
        )

    def _name(self, label: Tensor) -> str:
        return self.class_names[int(label)]

    @property
    def _first(self) -> list[int]:
        found: list[int] = self.ranking[:_SHOWN].tolist()
        return found

    def plot(self) -> Figure:
        """Draw the scores of the most suspicious images."""
        return self._figure(LIGHT)

    def _figure(self, theme: Theme) -> Figure:
        names = [f"number {i}: {self._name(self.labels[i])}" for i in self._first]
        values = self.score[self._first].tolist()
        return unit_bars(names, values, unit="mean rank by loss and neighbours", theme=theme)

    def page(self, command: str | None = None) -> Page:
        columns = (
            "training image", "label", "suggested", "loss", "neighbours of another label",
            "self-influence",
        )  # fmt: skip
        rows = [
            (
                f"number {i}",
                self._name(self.labels[i]),
                self._name(self.suggested[i]),
                number(float(self.loss[i])),
                share(float(self.disagreement[i])),
                number(float(self.self_influence[i])),
            )
            for i in self._first
        ]
        table = Table("Labels that look wrong", columns, rows)
        return training_page(
            self, [table], self._figure, method=_METHOD, caveats=_CAVEATS, command=command
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the most suspicious images; all scores are in the saved file."""
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "examples": len(self.labels),
                "suspicious": [
                    {
                        "index": i,
                        "label": self._name(self.labels[i]),
                        "suggested": self._name(self.suggested[i]),
                        "score": float(self.score[i]),
                        "loss": float(self.loss[i]),
                        "disagreement": float(self.disagreement[i]),
                        "self_influence": float(self.self_influence[i]),
                    }
                    for i in self._first
                ],
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per training image, the most suspicious first.

        Raises:
            ImportError: if pandas isn't installed.
        """
        order = self.ranking
        return frame(
            {
                "example": order.tolist(),
                "label": [self._name(i) for i in self.labels[order]],
                "suggested": [self._name(i) for i in self.suggested[order]],
                "score": self.score[order].tolist(),
                "loss": self.loss[order].tolist(),
                "disagreement": self.disagreement[order].tolist(),
                "self_influence": self.self_influence[order].tolist(),
            }
        )


def _rank(values: Tensor) -> Tensor:
    """Return each value's rank among all, from 0 to 1; equal values share their mean rank."""
    ordered = values.double().sort().values
    below = torch.searchsorted(ordered, values.double())
    up_to = torch.searchsorted(ordered, values.double(), right=True)
    return (below + up_to - 1) / (2 * max(len(values) - 1, 1))

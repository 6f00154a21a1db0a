"""What training images do to answers under disturbances, group by group and layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.training.bias.differences import GroupDifference
from captum_influence.training.bias.page import bias_page, share_figure
from captum_influence.training.bias.retrained import RetrainingResult
from captum_influence.training.bias.shares import Interval
from captum_influence.training.scoring import RawScores
from captum_influence.visualization.numbers import share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ALL_LAYERS", "BiasReport", "GroupFinding", "Ranked", "ShownImage"]

ALL_LAYERS = "all layers"


@dataclass(frozen=True)
class Ranked:
    """Training images in order, with their mean influence on a group."""

    indices: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupFinding:
    """What shapes a group's answers; the mappings go from layer names and ``ALL_LAYERS``.

    Attributes:
        name: of the group.
        size: how many examples it has.
        loss: their mean loss, against the targets asked for.
        helpful: the training images of highest influence.
        harmful: those of lowest influence.
        strength: mean over examples of Σ |raw score| over the training images.
        layer_share_interval: layer -> where its share lies, by bootstrap over the examples.
        pictures: some of its examples.
    """

    name: str
    size: int
    loss: float
    helpful: Mapping[str, Ranked]
    harmful: Mapping[str, Ranked]
    strength: Mapping[str, float]
    layer_share_interval: Mapping[str, Interval]
    pictures: tuple[Tensor, ...] = ()

    @property
    def layer_share(self) -> dict[str, float]:
        """Each layer's part of the influence, summing to one."""
        layers = {k: v for k, v in self.strength.items() if k != ALL_LAYERS}
        total = sum(layers.values())
        return {name: value / total if total else 0.0 for name, value in layers.items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class ShownImage:
    """A training image of the report.

    Attributes:
        index: its place in the training data.
        target: what it is of.
        picture: (channels, height, width) in [0, 1]; None of what is no picture.
        shapley: what each pixel does to the score of its own class, (height, width).
    """

    index: int
    target: str
    picture: Tensor | None
    shapley: Tensor | None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class BiasReport(Finding):
    """What training images do to the answers of groups, over all and through each layer.

    Attributes:
        layers: their names.
        groups: what was found for each, the original first.
        group_share_interval: layer -> group -> where its share lies, by bootstrap over the
            examples.
        differences: of each group from the original.
        images: index -> the training images that are listed anywhere.
        normalized: whether ranks are by scores over √self-influence.
        retrainings: what retraining changed.
        scores: group -> raw scores of every training image.
        notes: sentences that a reader of the page needs.
    """

    layers: tuple[str, ...]
    groups: tuple[GroupFinding, ...]
    group_share_interval: Mapping[str, Mapping[str, Interval]]
    differences: tuple[GroupDifference, ...]
    images: Mapping[int, ShownImage]
    normalized: bool
    retrainings: tuple[RetrainingResult, ...]
    scores: Mapping[str, RawScores]
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        group, best = self.asked_about, self.asked_about.helpful[ALL_LAYERS]
        target, count = Counter(self.images[i].target for i in best.indices).most_common(1)[0]
        layer, part = max(group.layer_share.items(), key=lambda item: item[1])
        where = layer or "the layer"
        return (
            f"The answers to {group.name} rest most on training images of {target}: {count} of the "
            f"{len(best.indices)} that help them most. {where[:1].upper()}{where[1:]} has the "
            f"largest share of the influence on them, {share(part)}."
        )

    @property
    def asked_about(self) -> GroupFinding:
        """The group that is asked about first: of several, the first that isn't the original."""
        return self.groups[min(1, len(self.groups) - 1)]

    @property
    def most_influential(self) -> dict[str, int]:
        """Per layer, the training image of the largest mean influence on any group."""
        return {layer: self._strongest(layer)[1] for layer in (*self.layers, ALL_LAYERS)}

    def _strongest(self, layer: str) -> tuple[GroupFinding, int, float]:
        """Return the group, the training image and its score, of the largest absolute one."""
        first = (
            (group, ranked[layer].indices[0], ranked[layer].scores[0])
            for group in self.groups
            for ranked in (group.helpful, group.harmful)
        )
        return max(first, key=lambda found: abs(found[2]))

    @property
    def group_share(self) -> dict[str, dict[str, float]]:
        """Per layer, each group's part of the influence strength, summing to one."""
        found = {}
        for layer in (*self.layers, ALL_LAYERS):
            values = {group.name: group.strength[layer] for group in self.groups}
            total = sum(values.values())
            found[layer] = {n: v / total if total else 0.0 for n, v in values.items()}
        return found

    def mean_scores(self, group: str, layer: str | None = None) -> Tensor:
        """Return what images are ranked by: their mean influence on a group, (training images,).

        Args:
            group: its name.
            layer: through which layer; None: all.
        """
        return self.scores[group].of(layer, normalized=self.normalized).mean(0)

    def plot(self) -> Figure:
        """Draw each layer's share of the influence on each group."""
        return share_figure(self)

    def page(self, command: str | None = None) -> Page:
        return bias_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "layers": self.layers,
                "normalized": self.normalized,
                "groups": [_plain_group(group) for group in self.groups],
                "group_share": self.group_share,
                "group_share_interval": self.group_share_interval,
                "most_influential": self.most_influential,
                "images": {index: image.target for index, image in self.images.items()},
                "differences": [d.to_dict() for d in self.differences],
                "retrainings": [r.to_dict() for r in self.retrainings],
                "notes": self.notes,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per group, layer, side and listed image.

        Raises:
            ImportError: if pandas isn't installed.
        """
        rows = [
            (group.name, layer, side, index, self.images[index].target, score)
            for group in self.groups
            for side, found in (("helpful", group.helpful), ("harmful", group.harmful))
            for layer, ranked in found.items()
            for index, score in zip(ranked.indices, ranked.scores, strict=True)
        ]
        columns = ("group", "layer", "side", "image", "target", "score")
        return frame(dict(zip(columns, zip(*rows, strict=True), strict=True)))


def _plain_group(group: GroupFinding) -> dict[str, Any]:
    sides = {"helpful": group.helpful, "harmful": group.harmful}
    return {
        "name": group.name,
        "size": group.size,
        "loss": group.loss,
        "strength": group.strength,
        "layer_share": group.layer_share,
        "layer_share_interval": group.layer_share_interval,
        **{side: {n: _plain_ranked(r) for n, r in found.items()} for side, found in sides.items()},
    }


def _plain_ranked(ranked: Ranked) -> list[dict[str, Any]]:
    pairs = zip(ranked.indices, ranked.scores, strict=True)
    return [{"index": index, "score": score} for index, score in pairs]

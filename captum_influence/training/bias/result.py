"""What training images do to answers under disturbances, group by group and layer by layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from captum_influence.data.arrays import write_arrays
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.training.bias.differences import Difference
from captum_influence.training.bias.page import bias_page
from captum_influence.training.bias.retraining import RetrainingResult
from captum_influence.training.scoring import LayerScores

__all__ = ["ALL_LAYERS", "BiasReport", "GroupFinding", "Ranked", "ShownImage"]


ALL_LAYERS = "all layers"


FORMAT = "captum_influence.BiasReport"


@dataclass(frozen=True)
class Ranked:
    """Training images in order, with their mean influence on a group."""

    indices: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class GroupFinding:
    """What shapes a group's answers; the mappings go from layer names and `ALL_LAYERS`.

    Args:
        name: of the group.
        size: how many examples it has.
        loss: their mean loss, against the targets asked for.
        helpful: the training images of highest influence.
        harmful: those of lowest influence.
        strength: mean over examples of Σ |raw score| over the training images.
        pictures: some of its examples.
    """

    name: str
    size: int
    loss: float
    helpful: Mapping[str, Ranked]
    harmful: Mapping[str, Ranked]
    strength: Mapping[str, float]
    pictures: tuple[Tensor, ...] = ()

    @property
    def layer_share(self) -> dict[str, float]:
        """Each layer's part of the influence, summing to one."""
        layers = {k: v for k, v in self.strength.items() if k != ALL_LAYERS}
        total = sum(layers.values())
        return {name: value / total if total else 0.0 for name, value in layers.items()}


@dataclass(frozen=True, eq=False)
class ShownImage:
    """A training image of the report: picture (channels, height, width) and Shapley map."""

    index: int
    target: str
    picture: Tensor | None
    shapley: Tensor | None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class BiasReport(Finding):
    """The result of `bias_report`: numbers by `to_dict`, files by `save`, a page by `to_html`.

    Args:
        layers: their names.
        groups: what was found for each, the original first.
        differences: of each group from the original.
        images: index -> the training images that are listed anywhere.
        normalized: whether ranks are by scores over √self-influence.
        retrainings: what retraining changed.
        scores: group -> raw scores of every training image.
        notes: sentences that a reader of the page needs.
    """

    layers: tuple[str, ...]
    groups: tuple[GroupFinding, ...]
    differences: tuple[Difference, ...]
    images: Mapping[int, ShownImage]
    normalized: bool
    retrainings: tuple[RetrainingResult, ...] = field(default=())
    scores: Mapping[str, LayerScores] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    @property
    def most_influential(self) -> dict[str, int]:
        """Per layer, the training image of the largest mean influence on any group."""
        found = {}
        for layer in (*self.layers, ALL_LAYERS):
            ranked = [r[layer] for g in self.groups for r in (g.helpful, g.harmful)]
            best = max(ranked, key=lambda one: abs(one.scores[0]))
            found[layer] = best.indices[0]
        return found

    @property
    def group_share(self) -> dict[str, dict[str, float]]:
        """Per layer, each group's part of the influence strength, summing to one."""
        found = {}
        for layer in (*self.layers, ALL_LAYERS):
            values = {group.name: group.strength[layer] for group in self.groups}
            total = sum(values.values())
            found[layer] = {n: v / total if total else 0.0 for n, v in values.items()}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON."""
        return {
            "layers": list(self.layers),
            "normalized": self.normalized,
            "groups": [_plain_group(group) for group in self.groups],
            "group_share": self.group_share,
            "most_influential": self.most_influential,
            "differences": [d.to_dict() for d in self.differences],
            "retrainings": [r.to_dict() for r in self.retrainings],
            "notes": list(self.notes),
        }

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Write study.json, the numbers, and study.npz: scores, pictures and Shapley maps.

        In the NPZ file `scores_G_L` is (examples of group G, training images) for layer L,
        `self_influence_L` (training images,), both numbered as in the JSON file's `groups` and
        `layers`; `picture_I` and `shapley_I` belong to training image I.
        """
        home = Path(folder)
        content = {"format": FORMAT, "version": 1, **self.to_dict()}
        arrays = {
            f"scores_{g}_{i}": scores.scores[layer]
            for g, scores in enumerate(self.scores.values())
            for i, layer in enumerate(self.layers)
        }
        first = next(iter(self.scores.values()), None)
        if first is not None:
            own = first.self_influence
            arrays |= {f"self_influence_{i}": own[layer] for i, layer in enumerate(self.layers)}
        for kind in ("picture", "shapley"):
            shown = {i: getattr(image, kind) for i, image in self.images.items()}
            arrays |= {f"{kind}_{i}": found for i, found in shown.items() if found is not None}
        numbers = write_arrays(home / "study.npz", FORMAT, {"layers": list(self.layers)}, arrays)
        text = home / "study.json"
        text.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        return text, numbers

    def mean_scores(self, group: str, layer: str | None = None) -> Tensor:
        """What images are ranked by: their mean influence on a group, (training images,)."""
        return self.scores[group].of(layer, normalized=self.normalized).mean(0)

    def page(self, command: str | None = None) -> Page:
        return bias_page(self, command)


def _plain_group(group: GroupFinding) -> dict[str, Any]:
    sides = {"helpful": group.helpful, "harmful": group.harmful}
    return {
        "name": group.name,
        "size": group.size,
        "loss": group.loss,
        "strength": dict(group.strength),
        "layer_share": group.layer_share,
        **{
            side: {
                layer: [{"index": i, "score": s} for i, s in zip(r.indices, r.scores, strict=True)]
                for layer, r in found.items()
            }
            for side, found in sides.items()
        },
    }

"""Does an explanation fall on the object: against masks where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from captum_influence.metrics.result import Columns, Metric
from captum_influence.reports.asked import Asked
from captum_influence.reports.words import counted
from captum_influence.visualization.lines import bar_figure
from captum_influence.visualization.numbers import percent
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Localization", "localize"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Localization(Metric):
    """Scores of maps against masks, each (examples,).

    Attributes:
        pointing: 1 if the largest entry lies in the mask, else 0; ties count by their share.
            Range [0, 1]. NaN for a constant map.
        mass: share of the positive relevance that lies in the mask. Range [0, 1]. NaN where
            nothing is positive.
        rank: share of the mask's k pixels among the k largest entries; ties count by their share.
            Range [0, 1].
        area: share of the picture that the mask covers: what a random map gets on all three.
    """

    topic: ClassVar[str] = "Maps against masks"
    caveats: ClassVar[tuple[str, ...]] = (
        "A network may rightly look elsewhere than at the object: at a shortcut, say.",
        "A large mask is hit by chance: compare with its area.",
        "A mass is of what is positive. Where nothing is, there is none.",
    )

    pointing: Tensor
    mass: Tensor
    rank: Tensor
    area: Tensor

    @property
    def headline(self) -> str:
        means = self._means()
        return (
            f"{percent(means['mass'])} of the positive relevance lies on the masks, which cover "
            f"{percent(means['area'])} of the pictures. The largest entry lies there in "
            f"{percent(means['pointing'])} of them, on average over "
            f"{counted(len(self.area), 'example')} as far as there is a score."
        )

    @property
    def method(self) -> str:
        return (
            "Pointing asks whether a map's largest entry lies in the mask. Mass is the share of "
            "its positive entries' sum that lies there. Rank is the share of the mask's k pixels "
            "that are among the map's k largest entries. A random map gets the area on all three."
        )

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per example."""
        return {name: getattr(self, name) for name in ("pointing", "mass", "rank", "area")}

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the means over the examples that have a score."""
        return bar_figure(self._means(), title="share on the mask; area: by chance", theme=theme)

    def _means(self) -> dict[str, float]:
        return {n: float(torch.as_tensor(v).nanmean()) for n, v in self.columns().items()}


def localize(maps: Tensor, masks: Tensor) -> Localization:
    r"""Score maps against masks M.

    - pointing game: :math:`[\arg\max_p R_p \in M]` (Zhang et al. 2016, arXiv 1608.00507);
    - mass accuracy: :math:`\sum_{p\in M} R_p^+ / \sum_p R_p^+`, negatives clipped, without which
      the ratio has no bounds; rank accuracy: :math:`|P_{top\,|M|} \cap M| / |M|`
      (both Arras et al. 2022, arXiv 2003.07258).

    Pitfall: a network may rightly look elsewhere (a shortcut), and a large mask is hit by chance:
    compare with ``area``.

    Args:
        maps: (examples, height, width), or with a channel dimension, which is summed.
        masks: bool, (examples, height, width).

    Raises:
        ValueError: if shapes disagree, a mask is empty, or a map isn't finite.
        TypeError: if masks aren't bool.
    """
    asked = Asked.of(localize, locals())
    maps = maps.sum(1) if maps.ndim == 4 else maps
    _check(maps, masks)
    flat, inside = maps.detach().double().flatten(1), masks.flatten(1).to(maps.device)
    positive = flat.clamp(min=0)
    highest = flat == flat.amax(1, keepdim=True)
    pointing = (highest & inside).sum(1) / highest.sum(1).double()
    size = inside.sum(1)
    return Localization(
        asked=asked,
        facts={"maps": len(maps), "size": " × ".join(map(str, maps.shape[1:]))},
        pointing=torch.where(highest.all(1), torch.nan, pointing),
        mass=(positive * inside).sum(1) / positive.sum(1),  # 0 / 0 is NaN
        rank=torch.stack([_rank(*row) for row in zip(flat, inside, size.tolist(), strict=True)]),
        area=size.double() / flat.shape[1],
    )


def _rank(values: Tensor, inside: Tensor, count: int) -> Tensor:
    """Count the mask's pixels above the k-th largest value, and at it by their share."""
    edge = values.topk(count).values[-1]
    above, at = values > edge, values == edge
    share = (count - above.sum()).double() / at.sum()
    return ((above & inside).sum() + share * (at & inside).sum()) / count


def _check(maps: Tensor, masks: Tensor) -> None:
    if masks.dtype != torch.bool:
        raise TypeError(f"expected masks of dtype bool, got {masks.dtype}: compare, e.g. masks > 0")
    if maps.ndim != 3 or maps.shape != masks.shape:
        raise ValueError(
            "expected maps and masks of one shape (examples, height, width), got "
            f"{tuple(maps.shape)} and {tuple(masks.shape)}"
        )
    if not bool(masks.flatten(1).any(1).all()):
        raise ValueError("a mask is empty: leave out examples without an object")
    if not bool(maps.isfinite().all()):
        raise ValueError(f"a map of shape {tuple(maps.shape[1:])} holds NaN or infinity")

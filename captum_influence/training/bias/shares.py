"""Shares of the influence, with bootstrap intervals over the examples that were asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.training.bias.differences import RESAMPLES
from captum_influence.training.scoring import RawScores

__all__ = ["Interval", "ShareIntervals"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class ShareIntervals:
    """Percentile intervals of shares, each group's examples drawn anew with replacement.

    Groups of equal size are the same images, disturbed: they are drawn together.

    Attributes:
        confidence: of the intervals.
        seed: of the resampling.
    """

    confidence: float
    seed: int

    def of_layers(self, scores: RawScores) -> dict[str, Interval]:
        """Return where each layer's share of the influence on a group lies."""
        return self._between({name: scores.strength(name) for name in scores.layers})

    def of_groups(self, scores: Mapping[str, RawScores], layer: str | None) -> dict[str, Interval]:
        """Return where each group's share of the influence through a layer lies; None: all."""
        return self._between({name: found.strength(layer) for name, found in scores.items()})

    def _between(self, strengths: Mapping[str, Tensor]) -> dict[str, Interval]:
        means = torch.stack([self._resampled(values) for values in strengths.values()])
        total = means.sum(0)
        shares = torch.where(total > 0, means / total, torch.zeros_like(means))
        tail = (1 - self.confidence) / 2
        ends = torch.tensor([tail, 1 - tail], dtype=shares.dtype)
        low, high = torch.quantile(shares, ends, dim=1).tolist()
        return {name: (low[i], high[i]) for i, name in enumerate(strengths)}

    def _resampled(self, values: Tensor) -> Tensor:
        """Return means of (n,) values; the same draws for every group of n examples."""
        generator = torch.Generator().manual_seed(self.seed)
        picks = torch.randint(len(values), (RESAMPLES, len(values)), generator=generator)
        return values.detach().double().cpu()[picks].mean(1)

"""Differences of groups, with confidence intervals and tests that assume no distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

__all__ = ["GroupDifference", "corrected", "difference"]

RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class GroupDifference:
    """A group's mean minus the original's, with a bootstrap interval and a permutation test.

    Attributes:
        group: its name.
        quantity: what is compared.
        mean: the difference of the means.
        low: where the interval begins.
        high: where it ends.
        confidence: of the interval.
        p_value: of the single difference; of many, expect a share of false alarms.
        paired: whether the same examples are compared.
        adjusted: the p-value corrected for how many differences were looked at (Holm 1979): calling
            those below .05 different is wrong of any of them in at most 5 % of studies.
    """

    group: str
    quantity: str
    mean: float
    low: float
    high: float
    confidence: float
    p_value: float
    paired: bool
    adjusted: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def difference(
    group: str,
    quantity: str,
    original: Tensor,
    values: Tensor,
    confidence: float,
    seed: int,
) -> GroupDifference:
    """Compare values per example; groups of equal size are pairs (the same images, disturbed).

    Args:
        group: name of the group.
        quantity: what the values are.
        original: (n,) values of the original group.
        values: (m,) values of the group; paired with the original's if m = n.
        confidence: of the percentile interval.
        seed: of the resampling.
    """
    a, b = original.detach().double().cpu(), values.detach().double().cpu()
    generator = torch.Generator().manual_seed(seed)
    paired = len(a) == len(b)
    draws = _paired(b - a, generator) if paired else _unpaired(a, b, generator)
    resampled, shuffled = draws
    mean = float(b.mean() - a.mean())
    tail = (1 - confidence) / 2
    low, high = torch.quantile(resampled, torch.tensor([tail, 1 - tail], dtype=a.dtype)).tolist()
    # Equal up to rounding is as extreme: shuffling may add the same numbers in another order.
    extreme = int((shuffled.abs() >= abs(mean) * (1 - 1e-12)).sum())
    p_value = (1 + extreme) / (1 + RESAMPLES)  # the observed one counts, so it is never 0
    return GroupDifference(
        group=group,
        quantity=quantity,
        mean=mean,
        low=low,
        high=high,
        confidence=confidence,
        p_value=p_value,
        paired=paired,
        adjusted=p_value,
    )


def corrected(found: Sequence[GroupDifference]) -> tuple[GroupDifference, ...]:
    """Return differences that were looked at together, their p-values adjusted for their number."""
    order = sorted(range(len(found)), key=lambda i: found[i].p_value)
    adjusted, largest = [0.0] * len(found), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(found) - place) * found[i].p_value))
        adjusted[i] = largest
    return tuple(replace(one, adjusted=p) for one, p in zip(found, adjusted, strict=True))


def _paired(change: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return bootstrapped means, and means under random signs."""
    n = len(change)
    picks = torch.randint(n, (RESAMPLES, n), generator=generator)
    signs = 2 * torch.randint(2, (RESAMPLES, n), generator=generator) - 1
    return change[picks].mean(1), (signs * change).mean(1)


def _unpaired(a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return bootstrapped differences of means, and differences under random group labels."""
    from_a = torch.randint(len(a), (RESAMPLES, len(a)), generator=generator)
    from_b = torch.randint(len(b), (RESAMPLES, len(b)), generator=generator)
    pooled = torch.cat([a, b])
    order = torch.rand(RESAMPLES, len(pooled), generator=generator).argsort(1)
    mixed = pooled[order]
    shuffled = mixed[:, len(a) :].mean(1) - mixed[:, : len(a)].mean(1)
    return b[from_b].mean(1) - a[from_a].mean(1), shuffled

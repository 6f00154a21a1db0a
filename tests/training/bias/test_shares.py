"""Intervals of shares: by hand where they are known, and how often they hold the truth."""

import pytest
import torch

from captum_influence.training.bias.shares import ShareIntervals
from captum_influence.training.scoring import RawScores


def _raw(**layers: torch.Tensor) -> RawScores:
    """Return scores of one training image: an example's strength is its own score."""
    return RawScores({n: v.unsqueeze(1) for n, v in layers.items()}, {})


def test_shares_that_every_example_has_alike_have_no_width() -> None:
    values = torch.rand(9, dtype=torch.float64) + 0.1
    found = ShareIntervals(0.95, 0).of_layers(_raw(a=values, b=-3 * values))
    assert found["a"] == pytest.approx((0.25, 0.25))
    assert found["b"] == pytest.approx((0.75, 0.75))


def test_groups_of_the_same_examples_are_drawn_together() -> None:
    values = torch.rand(9, dtype=torch.float64) + 0.1
    same = {"original": _raw(a=values), "disturbed": _raw(a=4 * values)}
    assert ShareIntervals(0.95, 0).of_groups(same, "a")["disturbed"] == pytest.approx((0.8, 0.8))
    assert ShareIntervals(0.95, 0).of_groups(same, None)["original"] == pytest.approx((0.2, 0.2))
    fewer = same | {"disturbed": _raw(a=4 * values[:8])}
    low, high = ShareIntervals(0.95, 0).of_groups(fewer, "a")["disturbed"]
    assert low < high


def test_no_influence_at_all_is_no_share() -> None:
    found = ShareIntervals(0.95, 0).of_layers(_raw(a=torch.zeros(4), b=torch.zeros(4)))
    assert found == {"a": (0.0, 0.0), "b": (0.0, 0.0)}


def test_they_hold_the_truth_about_as_often_as_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    held = 0
    for trial in range(60):  # E[a] = 0.5 and E[b] = 1: a's share is a third
        a = torch.rand(40, generator=generator, dtype=torch.float64)
        b = 2 * torch.rand(40, generator=generator, dtype=torch.float64)
        low, high = ShareIntervals(0.9, trial).of_layers(_raw(a=a, b=b))["a"]
        held += low <= 1 / 3 <= high
    assert 46 <= held <= 60  # 54 expected, 2.3 the standard deviation

"""Intervals cover and tests keep their level, whatever the distribution."""

from __future__ import annotations

import torch

from captum_influence.training.bias.differences import difference

N, PLANTED = 60, range(16)


def test_intervals_cover_and_tests_keep_their_level() -> None:
    """In 200 repetitions without a difference, about 5 % are called one."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(200):
        a, b = (torch.randn(25, generator=generator) for _ in range(2))
        found.append(difference("g", "q", a, b, 0.95, 0))
    assert 0.88 <= sum(d.low <= 0 <= d.high for d in found) / 200 <= 0.99
    assert 0.01 <= sum(d.p_value < 0.05 for d in found) / 200 <= 0.1
    one = difference("g", "q", torch.randn(30, generator=generator), torch.full((20,), 3.0), 0.9, 0)
    assert not one.paired
    assert one.low > 2
    assert one.p_value < 0.01

"""Intervals cover and tests keep their level, whatever the distribution."""

from __future__ import annotations

from dataclasses import replace

import torch

from captum_influence.training.bias.differences import corrected, difference

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


def test_many_are_corrected_for_their_number() -> None:
    """Of 40 comparisons without a difference, in 100 studies, few call any different."""
    generator = torch.Generator().manual_seed(1)
    false_alarms = 0
    for study in range(100):
        pairs = [torch.randn(2, 20, generator=generator) for _ in range(40)]
        found = corrected([difference("g", "q", a, b, 0.95, study) for a, b in pairs])
        assert all(one.adjusted >= one.p_value for one in found)
        false_alarms += min(one.adjusted for one in found) < 0.05
    assert false_alarms <= 12


def test_the_correction_is_holms() -> None:
    one = difference("g", "q", torch.zeros(4), torch.ones(4), 0.95, 0)
    ps = [0.01, 0.04, 0.03, 0.005]
    found = corrected([replace(one, p_value=p) for p in ps])
    assert [round(f.adjusted, 9) for f in found] == [0.03, 0.06, 0.06, 0.02]
    assert corrected([]) == ()

"""Moments of parts merge to the moments of the whole."""

import math

import pytest
import torch

from captum_influence.attr.profile.moments import Moments

VALUES = torch.randn(37, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sizes", [[37], [1, 36], [10, 10, 10, 7], [1] * 37])
def test_parts_merge_to_the_whole(sizes: list[int]) -> None:
    total = Moments.merged_all([Moments.of(part) for part in torch.split(VALUES, sizes)])
    assert total.count == 37
    assert torch.allclose(total.mean, VALUES.mean(dim=0), atol=1e-15)
    assert torch.allclose(total.variance, VALUES.var(dim=0), atol=1e-14)
    assert torch.allclose(total.standard_error, (VALUES.var(dim=0) / 37).sqrt(), atol=1e-15)


def test_a_large_mean_does_not_swallow_a_small_variance() -> None:
    shifted = VALUES + 1e8
    total = Moments.merged_all([Moments.of(part) for part in torch.split(shifted, 5)])
    assert torch.allclose(total.variance, shifted.var(dim=0), rtol=1e-6)


def test_one_example_has_no_variance() -> None:
    one = Moments.of(VALUES[:1].float())
    assert one.mean.dtype == torch.float64
    assert all(math.isnan(v) for v in one.variance.tolist())

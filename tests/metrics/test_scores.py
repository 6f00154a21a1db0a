"""Scores of maps as values: each is a number of the metric that it is named after."""

import pytest
import torch
from torch import nn

from captum_influence.metrics import FlippingScore, LocalizationScore, flip_pixels, localize

IMAGES = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MAPS = IMAGES[:, 0] - 0.5
NETWORK = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(6, 3)).double()
LABELS = torch.tensor([2, 0])


@pytest.mark.parametrize("patch", [None, 8])
def test_flipping_is_the_area_between_the_curves(patch):
    score = FlippingScore("mean", steps=3, patch=patch, seed=4)
    found = score(NETWORK, IMAGES, LABELS, MAPS)
    flipped = flip_pixels(
        NETWORK, IMAGES, MAPS, LABELS, replace="mean", steps=3, patch=patch or 32 // 16, seed=4
    )
    torch.testing.assert_close(found, flipped.abpc("mean"))


def test_flipping_of_noise_gets_none_and_of_the_truth_more():
    with torch.no_grad():
        effect = NETWORK[2].weight[0].reshape(2, 3)
    truth = (
        effect.repeat_interleave(16, 0).repeat_interleave(16, 1).expand(2, -1, -1) * IMAGES[:, 0]
    )
    noise = torch.randn(2, 32, 48, generator=torch.Generator().manual_seed(1))
    score, first = FlippingScore(0.0, patch=1, steps=8), torch.zeros(2, dtype=torch.long)
    good, none = (score(NETWORK, IMAGES, first, maps) for maps in (truth, noise))
    assert (good > 0).all()
    assert (none.abs() < 0.3 * good).all()


@pytest.mark.parametrize("kind", ["mass", "rank", "pointing"])
def test_localization_is_that_of_the_metric(kind):
    masks = MAPS > 0.2
    found = LocalizationScore(masks, kind)(NETWORK, IMAGES, LABELS, MAPS)
    assert torch.equal(found, getattr(localize(MAPS, masks), kind))


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="one of mass, rank, pointing, got 'area'"):
        LocalizationScore(MAPS > 0, "area")

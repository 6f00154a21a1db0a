"""Shapley values of pixels and patches, where they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from captum_influence.training import (
    GradientShapley,
    SampledShapley,
)

N, PLANTED = 60, range(16)


@pytest.mark.parametrize("shapley", [GradientShapley(samples=200, noise=0.0), SampledShapley(2, 3)])
def test_shapley_values_of_a_linear_game_are_exact_and_seeded(shapley) -> None:
    """A linear score's values are weight × pixel; random states and modes are put back."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16, 2)).train()
    images, targets = torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 1])
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    found = shapley.maps(model, images, targets)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
    assert model.training
    wanted = model[2].weight[targets].detach().reshape(3, 4, 4) * images[:, 0]
    if isinstance(shapley, SampledShapley):
        wanted, found = (nn.functional.avg_pool2d(t[:, None], 2) for t in (wanted, found))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(shapley.maps(model, images, targets), shapley.maps(model, images, targets))


def test_a_patch_of_colours_counts_once() -> None:
    """The patches of a picture in colours are one game's players, as those of a grey one are."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    images, targets = torch.rand(3, 3, 4, 4), torch.tensor([0, 1, 1])
    found = SampledShapley(2, 3).maps(model, images, targets)
    weight = model[1].weight[targets].detach().reshape(3, 3, 4, 4)
    wanted = (weight * images).sum(1, keepdim=True)
    pooled = [nn.functional.avg_pool2d(t, 2) for t in (wanted, found[:, None])]
    torch.testing.assert_close(pooled[1], pooled[0], rtol=1e-4, atol=1e-5)

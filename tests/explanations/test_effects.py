"""What removal does, against the network run by hand with the unit's activation overwritten."""

import math

import pytest
import torch
from torch import Tensor, nn

from captum_influence import LinearPath, explain
from captum_influence.units import MeanActivation

X = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
LOADER = [torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)]


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 80, 3), nn.ReLU(), nn.Conv2d(80, 4, 2), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(36, 3)).double().eval()


def _without(model: nn.Sequential, channels: list[int], mean: Tensor | float) -> float:
    with torch.no_grad():
        z = model[:2](X)
        z[:, channels] = mean if isinstance(mean, float) else mean[channels]
        return float(model(X)[0, 1] - model[2:](z)[0, 1])


@pytest.mark.parametrize("replace", ["zero", 0.5, "mean", None])
def test_removals_are_those_by_hand(model: nn.Sequential, replace) -> None:
    found = explain(model, X, "1", 1, replace=replace, loader=LOADER, top=4, seed=5)
    mean = model[:2](LOADER[0]).mean(0).detach()
    there = {"zero": 0.0, 0.5: 0.5, "mean": mean, None: mean}[replace]
    channels = [row.unit.index[0] for row in found.units]
    effects = found.effects
    assert effects.alone == pytest.approx([_without(model, [c], there) for c in channels])
    assert effects.together == pytest.approx(_without(model, channels, there))
    assert (len(effects.random), effects.sampled, effects.units) == (10, 64, 80)
    z = model[:2](X).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model[2:](z)[0, 1], z)
    estimates = (gradient * (z - there)).sum((0, 2, 3))[channels]
    assert effects.estimates == pytest.approx(estimates.tolist())
    assert effects.agreement is not None
    assert effects.agreement > 0.9


def test_a_replacement_of_ones_own(model: nn.Sequential) -> None:
    given = MeanActivation(torch.full((80, 4, 4), 0.25, dtype=torch.float64))
    found = explain(model, X, "1", 1, replace=given, top=1)
    (channel,) = found.units[0].unit.index
    assert found.effects.alone[0] == pytest.approx(_without(model, [channel], 0.25))
    assert found.effects.replacement == "its mean activation"


def test_along_a_path_the_effect_is_that_of_the_removal(model: nn.Sequential) -> None:
    found = explain(model, X, "1", 1, distribution=LinearPath(X / 2, 20), top=2)
    channels = [row.unit.index[0] for row in found.units]
    alone = [_without(model, [channel], 0.0) for channel in channels]
    assert found.effects.alone == pytest.approx(alone)
    assert found.delta is not None  # and contributions add up along the path


def test_where_all_units_are_shown_there_are_no_others(model: nn.Sequential) -> None:
    found = explain(model, X, "3", 1, top=4)
    assert found.effects.random == ()
    assert math.isnan(found.effects.random_mean)
    assert "no others to compare" in found.effects.together_in_words("q")


def test_an_influence_is_no_estimate(model: nn.Sequential) -> None:
    found = explain(model, X, "1", 1, by="influence", top=1)
    assert not found.effects.in_its_units
    assert "estimate was" not in found.headline
    assert "Removed, it has 0 in its place" in found.headline


def test_pictures_of_several_sizes_have_no_mean(model: nn.Sequential) -> None:
    pooled = nn.Sequential(*model[:4], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    loader = [LOADER[0], LOADER[0][..., :5]]
    found = explain(pooled, X, "1", 1, loader=loader, top=1)
    assert found.effects.replacement == "0"
    with pytest.raises(ValueError, match='one size, or replace="zero"'):
        explain(pooled, X, "1", 1, loader=loader, replace="mean")


def test_the_same_seed_draws_the_same(model: nn.Sequential) -> None:
    first, second, other = (explain(model, X, "1", 1, seed=seed, top=1) for seed in (1, 1, 2))
    assert first.effects == second.effects
    assert first.effects.random != other.effects.random

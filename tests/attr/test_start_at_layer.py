"""Displacements that start at the layer, where a removal would put the units."""

import pytest
import torch
from torch import nn

from captum_influence import (
    Baselines,
    Distribution,
    DistributionalInfluence,
    InfluenceProfile,
    LinearPath,
    Point,
)
from captum_influence.attr.profile.one_pass import Questioner
from captum_influence.units.replacement import Constant, MeanActivation, Resample

X = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).double()


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()


OTHERS = {
    "zero": Constant(torch.zeros(())),
    "mean": MeanActivation(torch.linspace(-1, 1, 5).double()),
    "resample": Resample(torch.rand(3, 5, generator=torch.Generator().manual_seed(2)), seed=3),
}
OVER = {
    "point": Point(),
    "path": LinearPath(0.0, 4),
    "anchored": Baselines(torch.rand(3, 3).double(), 4, seed=0),
}


@pytest.mark.parametrize("distribution", OVER.values(), ids=OVER)
@pytest.mark.parametrize("instead", OTHERS)
def test_it_is_the_influence_times_what_removal_changes(
    instead: str, distribution: Distribution
) -> None:
    model, other = network(), OTHERS[instead]
    here = model[:2](X).detach()
    slopes = DistributionalInfluence(model, "1", distribution=distribution).attribute(X, target=1)
    found = DistributionalInfluence(
        model, "1", distribution=distribution, multiply_by_inputs=True, displacement=other
    ).attribute(X, target=1)
    torch.testing.assert_close(found, slopes * (here - other.like(here)))


def test_each_layer_has_its_own() -> None:
    model, mean = network(), MeanActivation(torch.tensor([0.5, -0.5]).double())
    asked = {"distribution": Point(), "multiply_by_inputs": True}
    starts = [OTHERS["mean"], mean]
    both = DistributionalInfluence(model, ["1", "2"], displacement=starts, **asked)
    for layer, other, found in zip("12", starts, both.attribute(X, target=1), strict=True):
        alone = DistributionalInfluence(model, layer, displacement=other, **asked)
        torch.testing.assert_close(found, alone.attribute(X, target=1))


def test_it_is_no_factor_of_influences_and_has_no_delta() -> None:
    model, other = network(), OTHERS["mean"]
    plain = DistributionalInfluence(model, "1", distribution=Point())
    given = DistributionalInfluence(model, "1", distribution=Point(), displacement=other)
    assert torch.equal(given.attribute(X, target=0), plain.attribute(X, target=0))
    times = DistributionalInfluence(model, "1", multiply_by_inputs=True, displacement=other)
    with pytest.raises(ValueError, match="leave out return_convergence_delta"):
        times.attribute(X, target=0, return_convergence_delta=True)


def test_what_is_no_start_is_named() -> None:
    for wrong in (torch.zeros(5), "mean", [OTHERS["zero"], OTHERS["mean"]]):
        with pytest.raises(TypeError, match="or a list of one for each of 1 layers, got"):
            DistributionalInfluence(network(), "1", displacement=wrong)
    both = DistributionalInfluence(
        network(), "1", multiply_by_inputs=True, reference=0.0, displacement=OTHERS["zero"]
    )
    with pytest.raises(ValueError, match="reference=, or displacement="):
        both.attribute(X, target=0)


def test_a_profile_takes_it_and_knows_it_from_another() -> None:
    model, loader = network(), [(X, torch.tensor([0, 1, 0, 1]))]

    def asked(other: MeanActivation) -> DistributionalInfluence:
        return DistributionalInfluence(
            model, "1", distribution=Point(), multiply_by_inputs=True, displacement=other
        )

    found = InfluenceProfile.over(asked(OTHERS["mean"]), loader, group_by="label")
    each = asked(OTHERS["mean"]).attribute(X, target=loader[0][1])
    torch.testing.assert_close(found.mean(0), each[::2].mean(0))
    same, other = (MeanActivation(torch.linspace(-1, end, 5).double()) for end in (1, 2))
    ids = [
        Questioner(asked(one), "label", "sum", 1, None).identity
        for one in (OTHERS["mean"], same, other)
    ]
    assert ids[0] == ids[1] != ids[2]

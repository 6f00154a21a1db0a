"""Error estimates, and paths refined until they suffice."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import ClassScore, DistributionalInfluence, LinearPath, Noise
from captum_influence.attr import Midpoint

REFERENCE = LinearPath(0.0, 2187, Midpoint())  # 3 ** 7 points


def _net(activation: type[nn.Module]) -> nn.Sequential:
    torch.manual_seed(1)
    layers = [nn.Linear(6, 24), activation(), nn.Linear(24, 24), activation(), nn.Linear(24, 3)]
    return nn.Sequential(*layers).double()


def _inputs(count: int = 8) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(2)).double() * 2


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def test_the_estimate_is_the_distance_to_a_third_of_the_points() -> None:
    net, x = _net(nn.ReLU), _inputs()
    fine = DistributionalInfluence(net, "0", distribution=LinearPath(0.0, 18, Midpoint()))
    coarse = DistributionalInfluence(net, "0", distribution=LinearPath(0.0, 6, Midpoint()))
    found, estimate = fine.attribute(x, target=1, return_error_estimate=True)
    expected = _norm(found - coarse.attribute(x, target=1))
    assert torch.allclose(estimate, expected, atol=1e-14)


@pytest.mark.parametrize(("activation", "share"), [(nn.ReLU, 1.0), (nn.GELU, 0.45)])
def test_the_estimate_bounds_the_error(activation: type[nn.Module], share: float) -> None:
    """On so small a ReLU network single kinks matter, so all of the estimate is needed."""
    net, x = _net(activation), _inputs(64)
    influence = DistributionalInfluence(net, "0", distribution=LinearPath(0.0, 54, Midpoint()))
    found, estimate = influence.attribute(x, target=1, return_error_estimate=True)
    true = DistributionalInfluence(net, "0", distribution=REFERENCE).attribute(x, target=1)
    within = _norm(found - true) <= share * estimate
    assert within.double().mean() >= 0.9


def test_the_estimate_follows_displacements_layers_and_quantities() -> None:
    net, x = _net(nn.ReLU), _inputs(3)
    settings = {
        "quantity": [ClassScore(0), ClassScore(1)],
        "multiply_by_inputs": True,
    }
    path = LinearPath(0.0, 9, Midpoint())
    influence = DistributionalInfluence(net, ["0", "2"], distribution=path, **settings)
    _, estimates = influence.attribute(x, return_error_estimate=True)
    for layer, estimate in zip(["0", "2"], estimates, strict=True):
        fine, coarse = (
            DistributionalInfluence(
                net, layer, distribution=LinearPath(0.0, n, Midpoint()), **settings
            ).attribute(x)
            for n in (9, 3)
        )
        assert torch.allclose(estimate, (fine - coarse).flatten(2).norm(dim=2), atol=1e-14)


@pytest.mark.parametrize("path", [LinearPath(0.0, 10, Midpoint()), LinearPath(0.0, 9), Noise(0.1)])
def test_an_estimate_needs_nested_midpoints(path: LinearPath | Noise) -> None:
    influence = DistributionalInfluence(_net(nn.ReLU), "0", distribution=path)
    with pytest.raises(ValueError, match="n divisible by 3"):
        influence.attribute(_inputs(2), target=0, return_error_estimate=True)


@pytest.mark.parametrize("tolerance", [0.05, 0.01])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
def test_refined_paths_are_as_accurate_as_asked(
    activation: type[nn.Module], tolerance: float
) -> None:
    net, x = _net(activation), _inputs()
    path = LinearPath(0.0, "auto", tolerance=tolerance)
    found, points = DistributionalInfluence(net, "0", distribution=path).attribute(
        x, target=1, return_points=True
    )
    true = DistributionalInfluence(net, "0", distribution=REFERENCE).attribute(x, target=1)
    assert (_norm(found - true) <= 2 * tolerance * _norm(true)).all()
    assert points.shape == (8,)
    assert set(points.tolist()) <= {6, 18, 54, 162, 486}


def test_a_refined_path_equals_the_midpoint_rule_on_as_many_points() -> None:
    net, x = _net(nn.ReLU), _inputs()
    path = LinearPath(0.3, "auto", tolerance=0.02)
    influence = DistributionalInfluence(
        net, ["0", "2"], distribution=path, quantity=[ClassScore(0), ClassScore(2)]
    )
    found, points = influence.attribute(x, return_points=True, internal_batch_size=5)
    for i, n in enumerate(points.tolist()):
        plain = DistributionalInfluence(
            net,
            ["0", "2"],
            distribution=LinearPath(0.3, n, Midpoint()),
            quantity=[ClassScore(0), ClassScore(2)],
        ).attribute(x[i : i + 1])
        for layer, expected in zip(found, plain, strict=True):
            assert torch.allclose(layer[:, i : i + 1], expected, atol=1e-13)


def test_smooth_networks_take_few_points() -> None:
    path = LinearPath(0.0, "auto", tolerance=0.01)
    influence = DistributionalInfluence(_net(nn.GELU), "0", distribution=path)
    _, points = influence.attribute(_inputs(), target=1, return_points=True)
    assert points.double().mean() <= 20


def test_a_linear_network_is_done_at_once_and_a_constant_one_too() -> None:
    linear = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)).double()
    path = LinearPath(0.0, "auto")
    found, points = DistributionalInfluence(linear, "0", distribution=path).attribute(
        _inputs(), target=1, return_points=True
    )
    assert torch.allclose(found, linear[1].weight[1].expand(8, 4))
    assert (points == 6).all()
    with torch.no_grad():
        linear[1].weight.zero_()
    found = DistributionalInfluence(linear, "0", distribution=path).attribute(_inputs(), target=1)
    assert (found == 0).all()


def test_points_are_told_for_any_distribution() -> None:
    influence = DistributionalInfluence(_net(nn.ReLU), "0")
    _, points = influence.attribute(_inputs(), target=0, n_steps=7, return_points=True)
    assert points.tolist() == [7] * 8

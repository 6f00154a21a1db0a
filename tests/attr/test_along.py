"""Displacements along the path: truth by completeness, closed forms and central differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformed
from torch import Tensor, nn

from captum_influence.attr.distributions import (
    Baselines,
    Distribution,
    Mixture,
    Noise,
    Point,
    Samples,
)
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath, StratifiedPath
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quadrature import GaussLegendre
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.network.cuts import Cut

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
B = torch.cos(torch.arange(12, dtype=torch.float64)).reshape(4, 3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 2)
    ).double()


def along(model: nn.Module, layer: Any, distribution: Distribution, **more: Any) -> Any:
    return DistributionalInfluence(
        model, layer, distribution=distribution, displacement="along", **more
    )


def _slowly(model: nn.Sequential, layer: int, n: int) -> Tensor:
    """Return the sum over the path, point by point, with dz/dα by central differences."""
    total, step = torch.zeros_like(model[: layer + 1](X)), 1e-5
    for alpha, weight in zip(*GaussLegendre()(n), strict=True):
        here = [B + (alpha + s * step) * (X - B) for s in (-1, 0, 1)]
        z = [model[: layer + 1](x).detach() for x in here]
        middle = z[1].requires_grad_()
        (slope,) = torch.autograd.grad(model[layer + 1 :](middle)[:, 1].sum(), middle)
        total = total + weight * slope * (z[2] - z[0]) / (2 * step)
    return total.detach()


@pytest.mark.parametrize("rows", [None, 1, 3])
def test_it_is_the_slope_times_the_rate_at_each_point(rows: int | None) -> None:
    model, path = network(), LinearPath(B, 7)
    found = along(model, ["0", "1", "3"], path).attribute(X, target=1, internal_batch_size=rows)
    for layer, contribution in zip((0, 1, 3), found, strict=True):
        expected = _slowly(model, layer, 7)
        torch.testing.assert_close(contribution, expected, rtol=1e-7, atol=1e-9)


def test_a_linear_layer_moves_evenly() -> None:
    """Then the rate is the same everywhere: z(x) - z(x'), as at the end."""
    model = network()
    asked = {"distribution": LinearPath(B, 6), "multiply_by_inputs": True}
    end = DistributionalInfluence(model, "0", **asked).attribute(X, target=1)
    found = along(model, "0", LinearPath(B, 6)).attribute(X, target=1)
    torch.testing.assert_close(found, end, rtol=1e-12, atol=1e-13)


def test_a_squared_unit_has_its_closed_form() -> None:
    """q = z², z = x²: each point gives 2 x² · 2 x dx/dα, x⁴ in sum; at the end it is ⅔ x⁴."""

    class Squares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.first(x**2) ** 2

    found, delta = along(Squares(), "first", LinearPath(0.0, 4)).attribute(
        X, target=1, return_convergence_delta=True
    )
    expected = torch.zeros_like(X)
    expected[:, 1] = X[:, 1] ** 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert float(delta.abs().max()) < 1e-12
    end = DistributionalInfluence(Squares(), "first", multiply_by_inputs=True)
    torch.testing.assert_close(end.attribute(X, 0.0, target=1), expected * (2 / 3))


def test_a_convolutional_network_adds_up_at_each_layer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Softplus(), nn.AvgPool2d(2), nn.Conv2d(4, 5, 2), nn.Softplus(),
        nn.Flatten(), nn.Linear(20, 3),
    ).double()  # fmt: skip
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    found, deltas = along(model, list("01234"), LinearPath(0.0, 12)).attribute(
        pictures, target=2, return_convergence_delta=True
    )
    expected = (model(pictures) - model(pictures * 0))[:, 2].detach()
    for contribution, delta in zip(found, deltas, strict=True):
        torch.testing.assert_close(contribution.flatten(1).sum(1), expected, rtol=0, atol=1e-9)
        assert float(delta.abs().max()) < 1e-9


def _exact_norms(model: nn.Module) -> None:
    """Let norms compute in the network's precision, which Llama's do in float32."""
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":
            exact = nn.RMSNorm(module.weight.shape, module.variance_epsilon)
            exact.weight = module.weight
            module.forward = exact.forward


@pytest.mark.parametrize("how", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["BERT", "Llama", "GPT-2"])
def test_blocks_of_a_transformer_add_up_to_the_same(kind: str, how: str) -> None:
    model = transformed.built(kind, how)
    _exact_norms(model)
    given = transformed.batch(kind)
    others = Inputs(transformed.corrupted(kind, given)["input_ids"])
    why: Quantity = ClassScore(1) if kind == "BERT" else NextToken(3) - NextToken(5)
    blocks: list[Any] = [*transformed.BLOCKS[kind]]
    blocks += [Cut(blocks[1], "input", select=0)] if kind == "GPT-2" else []
    found = along(model, blocks, LinearPath(others, 24), quantity=why)
    contributions, deltas = found.attribute(given, return_convergence_delta=True)
    sums = [c.flatten(1).sum(1) for c in contributions]
    in_float32 = (kind, how) == ("Llama", "eager")  # its softmax, whatever the precision
    for total in sums[1:]:
        torch.testing.assert_close(total, sums[0], rtol=0, atol=1e-6 if in_float32 else 1e-9)
    if kind == "BERT":
        assert all(float(delta.abs().max()) <= 1e-6 for delta in deltas)


def test_points_may_enter_inside() -> None:
    """With the points at the layer itself it is integrated gradients there."""
    model, path = network(), LinearPath(Inputs(B), 5)
    found = along(model, "1", path, sample_at="1").attribute(X, target=1)
    asked = {"distribution": path, "sample_at": "1", "multiply_by_inputs": True}
    end = DistributionalInfluence(model, "1", **asked).attribute(X, target=1)
    torch.testing.assert_close(found, end, rtol=1e-12, atol=1e-13)


def test_other_paths_too() -> None:
    model, value = network(), lambda x: network()(x)[:, 1].detach()
    refined = along(model, "1", LinearPath(B, "auto", tolerance=1e-4))
    sums = refined.attribute(X, target=1).sum(1)
    torch.testing.assert_close(sums, value(X) - value(B), rtol=1e-3, atol=1e-4)
    spread = along(model, "1", StratifiedPath(B, 400)).attribute(X, target=1).sum(1)
    torch.testing.assert_close(spread, value(X) - value(B), rtol=1e-3, atol=1e-4)
    mixed = Mixture([(0.25, LinearPath(B, 20)), (0.75, LinearPath(0.0, 20))])
    found, delta = along(model, "3", mixed).attribute(X, target=1, return_convergence_delta=True)
    expected = value(X) - 0.25 * value(B) - 0.75 * value(X * 0)
    torch.testing.assert_close(found.sum(1), expected, rtol=0, atol=1e-9)
    assert float(delta.abs().max()) < 1e-9


def test_drawn_baselines_move_too() -> None:
    model = network()
    drawn = Baselines(B, 3, seed=4)
    found, error = along(model, "1", drawn).attribute(X, target=1, return_standard_error=True)
    expected = torch.zeros_like(found)
    for weight, (x,), (start,) in drawn.points((X,)):
        rate = torch.func.jvp(model[:2], (x,), (X - start,))[1].detach()
        z = model[:2](x).detach().requires_grad_()
        expected += weight * rate * torch.autograd.grad(model[2:](z)[:, 1].sum(), z)[0]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert error.shape == found.shape


def test_several_quantities_and_a_graph() -> None:
    model, x = network(), X.clone().requires_grad_()
    both = along(model, "1", LinearPath(B, 5), quantity=[ClassScore(0), ClassScore(1)])
    for k, found in enumerate(both.attribute(X)):
        alone = along(model, "1", LinearPath(B, 5)).attribute(X, target=k)
        torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-13)
    one = along(model, "1", LinearPath(B, 5))
    graphed = one.attribute(x, target=1, grad_kwargs={"create_graph": True})
    (slope,) = torch.autograd.grad(graphed.sum(), x)
    step = torch.zeros_like(X)
    step[0, 1] = 1e-5
    ends = [one.attribute(X + sign * step, target=1).sum() for sign in (1, -1)]
    torch.testing.assert_close(slope[0, 1], (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-8)


def test_what_does_not_move_is_refused() -> None:
    for still in (
        Point(),
        Noise(0.1, 3),
        Samples(X),
        Mixture([(0.5, Point()), (0.5, LinearPath())]),
    ):
        with pytest.raises(
            ValueError, match=r"whose points don't move: give LinearPath\(baseline\)"
        ):
            along(network(), "1", still).attribute(X, target=1)
    doubly = along(network(), "1", LinearPath(), reference=B)
    with pytest.raises(ValueError, match="leave it out, and give it to the path"):
        doubly.attribute(X, target=1)


def test_it_multiplies_by_itself() -> None:
    one = DistributionalInfluence(network(), "1", displacement="along")
    assert one.multiplies_by_inputs
    found, delta = one.attribute(X, B, target=1, return_convergence_delta=True)
    expected = along(network(), "1", LinearPath(B)).attribute(X, target=1)
    torch.testing.assert_close(found, expected)
    assert float(delta.abs().max()) < 1e-9


def test_a_profile_sums_up_to_the_quantity() -> None:
    loader = [(X[:2], torch.tensor([0, 1])), (X[2:], torch.tensor([0, 1]))]
    asked = along(network(), "3", LinearPath(0.0, 20))
    profile = InfluenceProfile.over(asked, loader, group_by="label")
    scores = network()(X) - network()(X * 0)
    expected = scores[[0, 2], 0].mean()
    torch.testing.assert_close(profile.mean(0).sum(), expected.detach(), rtol=0, atol=1e-8)

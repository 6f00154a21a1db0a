"""Displacements, convergence deltas and standard errors against their definitions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import (
    Baselines,
    ClassScore,
    Distribution,
    DistributionalInfluence,
    LinearPath,
    Mixture,
    Noise,
    Point,
    Samples,
)

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
FAR = torch.cos(torch.arange(15, dtype=torch.float64)).reshape(5, 3)


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)
    ).double()


def _gradients(model: nn.Sequential, points: Tensor, target: int = 1) -> Tensor:
    z = model[:3](points).detach().requires_grad_()
    return torch.autograd.grad(model[3:](z)[..., target].sum(), z)[0]


def _units(model: nn.Sequential, x: Tensor) -> Tensor:
    return model[:3](x).detach()


def _influence(model: nn.Module, distribution: Distribution, **more: Any) -> Any:
    return DistributionalInfluence(
        model, "2", distribution=distribution, multiply_by_inputs=True, **more
    )


@pytest.mark.parametrize("distribution", [Point(), Noise(0.3, n=4), Samples(FAR)])
def test_displacements_start_at_zero_activation(model: Any, distribution: Distribution) -> None:
    plain = DistributionalInfluence(model, "2", distribution=distribution).attribute(X, target=1)
    found = _influence(model, distribution).attribute(X, target=1)
    assert torch.allclose(found, plain * _units(model, X), atol=1e-14)


def test_displacements_start_at_the_paths_baseline(model: Any) -> None:
    path = LinearPath(FAR[0], n=5)
    plain = DistributionalInfluence(model, "2", distribution=path).attribute(X, target=1)
    found = _influence(model, path).attribute(X, target=1)
    moved = _units(model, X) - _units(model, FAR[:1])
    assert torch.allclose(found, plain * moved, atol=1e-14)


@pytest.mark.parametrize("reference", [0.5, FAR[0], FAR[:1], FAR[:4]])
@pytest.mark.parametrize("distribution", [Point(), LinearPath(n=3), Baselines(FAR, n=3)])
def test_displacements_start_at_a_reference(
    model: Any, reference: Any, distribution: Distribution
) -> None:
    plain = DistributionalInfluence(model, "2", distribution=distribution).attribute(X, target=1)
    found = _influence(model, distribution, reference=reference).attribute(X, target=1)
    start = torch.as_tensor(reference).double().expand(4, 3) * torch.ones(4, 3).double()
    assert torch.allclose(found, plain * (_units(model, X) - _units(model, start)), atol=1e-13)


def test_displacements_start_at_each_draws_own_baseline(model: Any) -> None:
    drawn = Baselines(FAR, n=4)
    expected = torch.zeros(4, 4).double()
    for weight, (point,), anchor in drawn.points((X,)):
        assert anchor is not None
        moved = _units(model, X) - _units(model, anchor[0])
        expected += weight * _gradients(model, point) * moved
    for rows in (None, 1, 3):
        found = _influence(model, drawn).attribute(X, target=1, internal_batch_size=rows)
        assert torch.allclose(found, expected, atol=1e-14)


def _start(model: Any, distribution: Distribution) -> Tensor:
    """What the quantity is where displacements start, by the definition of each part."""
    if isinstance(distribution, Mixture):
        return sum(share * _start(model, part) for share, part in distribution.parts)
    if isinstance(distribution, Baselines):
        anchors = [item.anchor[0] for item in distribution.points((X,))]  # type: ignore[index]
        return torch.stack([model(a)[:, 1].detach() for a in anchors]).mean(dim=0)
    reference = distribution.reference((X,))
    if reference is not None:
        return model(reference[0])[:, 1].detach()
    return model[3:](torch.zeros(4, 4).double())[:, 1].detach()


@pytest.mark.parametrize(
    "distribution",
    [
        Point(),
        LinearPath(FAR[0], n=5),
        Baselines(FAR, n=3),
        Mixture([(0.3, Point()), (0.7, LinearPath(1.0, n=3))]),
        Mixture([(0.3, Noise(0.1, n=2)), (0.2, Baselines(FAR, n=2)), (0.5, LinearPath(n=3))]),
        Mixture([(0.5, Point()), (0.5, Noise(0.1, n=2))]),
    ],
)
@pytest.mark.parametrize("error", [False, True])
def test_the_delta_is_what_the_sum_falls_short_of(
    model: Any, distribution: Distribution, error: bool
) -> None:
    error = error and any(part.is_random for _, part in distribution.strata())
    found, delta, *_ = _influence(model, distribution).attribute(
        X, target=1, return_convergence_delta=True, return_standard_error=error
    )
    change = model(X)[:, 1].detach() - _start(model, distribution)
    assert torch.allclose(delta, found.sum(dim=1) - change, atol=1e-13)


def test_the_delta_of_a_layer_with_one_number_per_example() -> None:
    squeezed = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0), nn.Tanh()).double()
    influence = DistributionalInfluence(squeezed, "1", sample_at="1", multiply_by_inputs=True)
    _, delta = influence.attribute(X, return_convergence_delta=True)
    assert float(delta.abs().max()) < 1e-14


def test_deltas_of_several_layers_and_quantities(model: Any) -> None:
    influence = DistributionalInfluence(
        model, ["0", "2"], quantity=[ClassScore(0), ClassScore(1)], distribution=LinearPath(n=4),
        multiply_by_inputs=True,
    )  # fmt: skip
    found, deltas = influence.attribute(X, return_convergence_delta=True)
    change = (model(X) - model(0 * X)).detach().T
    for ours, delta in zip(found, deltas, strict=True):
        assert delta.shape == (2, 4)
        assert torch.allclose(delta, ours.sum(dim=2) - change, atol=1e-13)


def test_a_delta_needs_displacements(model: Any) -> None:
    with pytest.raises(ValueError, match="return_convergence_delta needs multiply_by_inputs=True"):
        DistributionalInfluence(model, "2").attribute(X, target=1, return_convergence_delta=True)


@pytest.mark.parametrize("distribution", [Noise(0.5, n=6), Samples(FAR), Baselines(FAR, n=6)])
@pytest.mark.parametrize("rows", [None, 1, 5])
def test_standard_errors_are_those_of_a_mean(
    model: Any, distribution: Distribution, rows: int | None
) -> None:
    terms = torch.stack([_gradients(model, p[0]) for _, p, _ in distribution.points((X,))])
    mean, error = DistributionalInfluence(model, "2", distribution=distribution).attribute(
        X, target=1, return_standard_error=True, internal_batch_size=rows
    )
    assert torch.allclose(mean, terms.mean(dim=0), atol=1e-13)
    assert torch.allclose(error, terms.std(dim=0) / len(terms) ** 0.5, atol=1e-12)


def test_standard_errors_of_displaced_draws(model: Any) -> None:
    drawn = Baselines(FAR, n=5)
    terms = torch.stack(
        [
            _gradients(model, p[0]) * (_units(model, X) - _units(model, a[0]))
            for _, p, a in drawn.points((X,))
        ]
    )
    _, error = _influence(model, drawn).attribute(X, target=1, return_standard_error=True)
    assert torch.allclose(error, terms.std(dim=0) / 5**0.5, atol=1e-12)
    _, error = _influence(model, Noise(0.5, n=5)).attribute(X, target=1, return_standard_error=True)
    noisy = torch.stack([_gradients(model, p[0]) for _, p, _ in Noise(0.5, n=5).points((X,))])
    expected = noisy.std(dim=0) / 5**0.5 * _units(model, X).abs()
    assert torch.allclose(error, expected, atol=1e-12)


@pytest.mark.parametrize("multiply", [False, True])
def test_standard_errors_of_a_mixture_add_in_squares(model: Any, multiply: bool) -> None:
    parts = [(0.2, Noise(0.5, n=4)), (0.5, LinearPath(FAR[0], n=3)), (0.3, Baselines(FAR, n=3))]

    def influence(distribution: Distribution) -> Any:
        return DistributionalInfluence(
            model, "2", distribution=distribution, multiply_by_inputs=multiply
        )

    found, error = influence(Mixture(parts)).attribute(X, target=1, return_standard_error=True)
    noise = influence(parts[0][1]).attribute(X, target=1, return_standard_error=True)[1]
    drawn = influence(parts[2][1]).attribute(X, target=1, return_standard_error=True)[1]
    assert torch.allclose(error, ((0.2 * noise) ** 2 + (0.3 * drawn) ** 2).sqrt(), atol=1e-12)
    assert torch.allclose(found, influence(Mixture(parts)).attribute(X, target=1), atol=1e-13)


def test_standard_errors_need_draws(model: Any) -> None:
    with pytest.raises(ValueError, match=r"LinearPath draws nothing.*Noise, Baselines or Samples"):
        DistributionalInfluence(model, "2").attribute(X, target=1, return_standard_error=True)
    single = DistributionalInfluence(model, "2", distribution=Noise(0.1, n=1))
    with pytest.raises(ValueError, match="at least 2 draws, got 1"):
        single.attribute(X, target=1, return_standard_error=True)


def test_a_reference_of_the_wrong_shape(model: Any) -> None:
    influence = _influence(model, Point(), reference=torch.zeros(7))
    with pytest.raises(ValueError, match=r"reference of shape \(4, 3\) or \(1, ...\), got \(7,\)"):
        influence.attribute(X, target=1)

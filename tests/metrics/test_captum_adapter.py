"""Captum's metrics take influences of internal units, and say of them what they say of inputs."""

from typing import Any

import pytest
import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor, nn

from captum_influence import ClassScore, Cut, DistributionalInfluence, LinearPath, Noise, Point
from captum_influence.metrics import for_captum_metrics
from captum_influence.testing import bilinear_model, linear_model

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 2)).double()


def _perturbed(units: Tensor) -> tuple[Tensor, Tensor]:
    change = 0.1 * torch.cos(torch.arange(units.numel()).double()).reshape(units.shape)
    return change, units - change


def test_the_network_onward_is_the_rest_of_it() -> None:
    model = _model()
    adapter = for_captum_metrics(DistributionalInfluence(model, "0"))
    (units,) = adapter.units(X)
    assert torch.equal(units, model[0](X))
    assert torch.allclose(adapter.onward()(2 * units, X), model[2]((2 * units).relu()))


def test_infidelity_of_an_exact_explanation_is_zero() -> None:
    known = linear_model()
    adapter = for_captum_metrics(DistributionalInfluence(known.model, "0"))
    x = known.inputs[0]

    def found(attributions: Any) -> Tensor:
        return infidelity(
            adapter.onward(), _perturbed, adapter.units(x), attributions,
            additional_forward_args=x, target=1, n_perturb_samples=3,
        )  # fmt: skip

    exact = adapter.explain(x, target=1)
    assert float(found(exact).max()) < 1e-24
    assert float(found(tuple(2 * t for t in exact)).min()) > 1e-6


def test_infidelity_is_what_captum_says_of_the_rest_as_a_network() -> None:
    model = _model()
    adapter = for_captum_metrics(DistributionalInfluence(model, "1", distribution=LinearPath(0.5)))
    attributions = adapter.explain(X, target=1)
    ours = infidelity(
        adapter.onward(), _perturbed, adapter.units(X), attributions, additional_forward_args=X,
        target=1,
    )  # fmt: skip
    theirs = infidelity(model[2:], _perturbed, model[:2](X), attributions[0], target=1)
    assert torch.allclose(ours, theirs, atol=1e-14)


def test_layers_with_several_tensors() -> None:
    class Both(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return x + y, x - y

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = Both()

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            plus, minus = self.both(x, y)
            return plus.sum(dim=1) + 2 * minus.sum(dim=1)

    adapter = for_captum_metrics(DistributionalInfluence(Network(), "both", distribution=Point()))
    found = infidelity(
        adapter.onward(tensors=2),
        lambda units: (tuple(0.1 * u for u in units), tuple(0.9 * u for u in units)),
        adapter.units(X, 2 * X),
        adapter.explain((X, 2 * X)),
        additional_forward_args=(X, 2 * X),
    )
    assert float(found.max()) < 1e-24


@pytest.mark.parametrize("layer", ["0", Cut("2", "input")])
def test_sensitivity(layer: Any) -> None:
    model = _model()
    for distribution in (Point(), Noise(0.1, n=3)):
        influence = DistributionalInfluence(model, layer, distribution=distribution)
        adapter = for_captum_metrics(influence)
        found = sensitivity_max(adapter.explain, X, target=[0, 1, 1, 0], n_perturb_samples=3)
        assert found.shape == (4,)
        assert bool(found.isfinite().all())


def test_an_explanation_that_never_changes_is_not_sensitive() -> None:
    known = linear_model()
    adapter = for_captum_metrics(DistributionalInfluence(known.model, "0"))
    assert float(sensitivity_max(adapter.explain, known.inputs, target=1).max()) < 1e-12


def test_sensitivity_with_several_inputs() -> None:
    known = bilinear_model()
    adapter = for_captum_metrics(DistributionalInfluence(known.model, known.layer))
    found = sensitivity_max(adapter.explain, known.inputs, target=1, perturb_radius=0.01)
    assert 0 < float(found.max()) < 0.1


def test_sensitivity_with_internal_batches() -> None:
    adapter = for_captum_metrics(DistributionalInfluence(_model(), "0"))
    found = sensitivity_max(adapter.explain, X, target=1, internal_batch_size=3)
    assert found.shape == (4,)


def test_several_layers_or_quantities_are_refused() -> None:
    for settings in ({"layer": ["0"]}, {"layer": "0", "quantity": [ClassScore(1)]}):
        with pytest.raises(ValueError, match="one layer and one quantity, got a list"):
            for_captum_metrics(DistributionalInfluence(_model(), **settings))

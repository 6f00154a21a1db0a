"""The same on every device at hand: everywhere on the CPU, on a GPU too where there is one.

Truth is float64 on the CPU. ``python -m benchmarks.cuda`` runs what is marked ``cuda``.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from captum.attr import InternalInfluence
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import (
    ClassScore,
    DistributionalInfluence,
    InfluenceProfile,
    LayerInfluence,
    LinearPath,
    Noise,
    explain,
)
from captum_influence.attr import Execution

GPU = [pytest.param("cuda", marks=pytest.mark.cuda)] if torch.cuda.is_available() else []
LAYERS = ["1", "4"]


@pytest.fixture(params=["cpu", *GPU])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return (
        nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3, stride=2),
            nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5),
        )
        .double()
        .eval()
    )  # fmt: skip


@pytest.fixture
def images() -> Tensor:
    return torch.randn(
        4, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def asked(model: nn.Module, x: Tensor, **options: Any) -> Sequence[Tensor]:
    influence = DistributionalInfluence(
        model, LAYERS, quantity=[ClassScore(1), ClassScore(3) - ClassScore(0)], **options
    )
    return [one for layer in influence.attribute(x) for one in layer]


def test_captum_says_the_same_there(
    network: nn.Module, images: Tensor, device: torch.device
) -> None:
    model, x = network.to(device), images.to(device)
    theirs = InternalInfluence(model, model[1]).attribute(x, target=2, n_steps=9)
    ours = DistributionalInfluence(model, "1").attribute(x, target=2, n_steps=9)
    assert ours.device.type == device.type
    # Captum rounds the weights of its rule to float32.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "execution",
    [
        Execution(),
        Execution.plain(),
        Execution(memory_format="channels_last", quantities="batched", pooled=True),
    ],
)
def test_layers_and_quantities(
    network: nn.Module, images: Tensor, device: torch.device, execution: Execution
) -> None:
    expected = asked(network, images, distribution=LinearPath(0.0, 7))
    found = asked(
        network.to(device),
        images.to(device),
        distribution=LinearPath(0.0, 7),
        execution=execution,
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=0, atol=1e-12)


def test_single_precision_is_near(network: nn.Module, images: Tensor, device: torch.device) -> None:
    expected = asked(network, images, distribution=LinearPath(0.0, 7))
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        found = asked(
            network.float().to(device), images.float().to(device), distribution=LinearPath(0.0, 7)
        )
    finally:
        torch.backends.cudnn.allow_tf32 = before
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double().cpu(), other, rtol=0, atol=1e-5)


def test_draws_are_its_own(network: nn.Module, images: Tensor, device: torch.device) -> None:
    model, x = network.to(device), images.to(device)
    state = torch.cuda.get_rng_state() if device.type == "cuda" else torch.get_rng_state()
    runs = [asked(model, x, distribution=Noise(0.1, n=5, seed=3)) for _ in range(2)]
    after = torch.cuda.get_rng_state() if device.type == "cuda" else torch.get_rng_state()
    assert torch.equal(state, after)
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_a_profile_streams_from_pinned_memory(
    network: nn.Module, images: Tensor, device: torch.device
) -> None:
    pinned = device.type == "cuda"
    data = TensorDataset(images, torch.zeros(len(images)).long())
    ask: dict[str, Any] = {"distribution": LinearPath(0.0, 5), "quantity": ClassScore(1)}
    plain = InfluenceProfile.over(
        DistributionalInfluence(network, "4", **ask), DataLoader(data, batch_size=2)
    )
    there = DistributionalInfluence(network.to(device), "4", **ask)
    found = InfluenceProfile.over(there, DataLoader(data, batch_size=2, pin_memory=pinned))
    torch.testing.assert_close(found.mean().cpu(), plain.mean(), rtol=0, atol=1e-12)


def test_an_explanation_names_the_same_units(
    network: nn.Module, images: Tensor, device: torch.device
) -> None:
    expected = explain(network, images[0], "4", 1)
    found = explain(network.to(device), images[0].to(device), "4", 1)
    assert [one.unit.index for one in found.units] == [one.unit.index for one in expected.units]


def test_training_influence(network: nn.Module, images: Tensor, device: torch.device) -> None:
    labels = torch.tensor([0, 1, 2, 3])

    def scores(where: torch.device) -> Tensor:
        model, x, y = network.to(where), images.to(where), labels.to(where)
        influence = LayerInfluence(
            model, TensorDataset(x, y), loss_fn=nn.CrossEntropyLoss(), layers=["7"], batch_size=2
        )
        return influence.influence((x[:2], y[:2])).cpu()

    expected = scores(torch.device("cpu"))
    torch.testing.assert_close(scores(device), expected, rtol=1e-9, atol=1e-12)

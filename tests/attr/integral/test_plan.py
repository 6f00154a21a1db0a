"""How many rows go through at once, how quantities share a pass, and what an OOM does."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import (
    Baselines,
    ClassScore,
    DistributionalInfluence,
    LinearPath,
    Noise,
    PredictedClass,
)
from captum_influence.attr import Execution
from captum_influence.network.devices import bfloat16_products

X = torch.sin(torch.arange(5 * 3 * 64, dtype=torch.float64)).reshape(5, 3, 8, 8)

fast_bfloat16 = pytest.mark.skipif(
    not bfloat16_products(torch.device("cpu")), reason="this CPU emulates bfloat16"
)


class Sighing(nn.Module):
    """Runs out of memory, as a device does, above a number of rows."""

    limit = 10**9

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory (as if)")
        self.seen.append(len(x))
        return x


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 4, 3), nn.ReLU(), Sighing(), nn.Conv2d(4, 4, 3), nn.ReLU()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(64, 6)).double().eval()


QUANTITIES = [ClassScore(0), ClassScore([1, 2, 3, 4, 5]), PredictedClass() - ClassScore(2)]


def test_batched_quantities_equal_a_loop(model: nn.Sequential) -> None:
    found = [
        DistributionalInfluence(
            model, ["0", "3"], quantity=QUANTITIES, execution=Execution(quantities=how)
        ).attribute(X, n_steps=6)
        for how in ("loop", "batched", "auto")
    ]
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert torch.allclose(a, b, atol=1e-14)


def test_batched_quantities_with_moments_and_anchors(model: nn.Sequential) -> None:
    for distribution in (Noise(0.2, 4), Baselines(X[:2], 4)):
        found = [
            DistributionalInfluence(
                model,
                "0",
                quantity=QUANTITIES,
                distribution=distribution,
                multiply_by_inputs=True,
                execution=Execution(quantities=how),
            ).attribute(X, return_standard_error=True, return_convergence_delta=True)
            for how in ("loop", "batched")
        ]
        for a, b in zip(*found, strict=True):
            assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("how", ["loop", "batched"])
@pytest.mark.parametrize("limit", [1, 3, 7])
def test_out_of_memory_halves_the_rows_and_goes_on(
    model: nn.Sequential, how: str, limit: int
) -> None:
    influence = DistributionalInfluence(
        model,
        ["0", "3"],
        quantity=QUANTITIES,
        distribution=LinearPath(0.1, 6),
        execution=Execution(quantities=how),
    )
    sighing = model[2]
    expected = influence.attribute(X, internal_batch_size=16)
    sighing.limit = limit + 4  # what is read beforehand takes five rows at once
    found = influence.attribute(X, internal_batch_size=16)
    for a, b in zip(expected, found, strict=True):
        assert torch.allclose(a, b, atol=1e-14)


def test_rows_stay_halved_once_memory_ran_out(model: nn.Sequential) -> None:
    model[2].limit = 5
    path, plain = LinearPath(0.0, 8), Execution.plain()
    influence = DistributionalInfluence(model, "3", distribution=path, execution=plain)
    influence.attribute(X[:1], target=0, internal_batch_size=8)  # looks at the network once
    model[2].seen.clear()
    influence.attribute(X, target=0, internal_batch_size=8)
    assert max(model[2].seen) <= 5
    assert len(model[2].seen) == 10  # 5 blocks of 8, each in halves; only the first was tried whole


def test_one_row_that_does_not_fit_is_an_error(model: nn.Sequential) -> None:
    model[2].limit = 0
    influence = DistributionalInfluence(model, "0", distribution=LinearPath(0.0, 2))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        influence.attribute(X, target=0, internal_batch_size=2)


def test_channels_last_changes_the_layout_only(model: nn.Sequential) -> None:
    layouts = []
    model[0].register_forward_pre_hook(
        lambda m, args: layouts.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    wish = Execution(memory_format="channels_last")
    found = DistributionalInfluence(model, "3", execution=wish).attribute(X, target=1)
    assert layouts[-1]
    assert torch.allclose(found, DistributionalInfluence(model, "3").attribute(X, target=1))


@pytest.fixture
def network() -> nn.Sequential:
    """A residual network in float32, whose two convolutions share their weights."""
    torch.manual_seed(0)
    shared = nn.Conv2d(8, 8, 3, padding=1)
    parts = [nn.Conv2d(3, 8, 3), nn.GELU(), shared, nn.BatchNorm2d(8), nn.GELU(), shared]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 6)).eval()


@fast_bfloat16
def test_bfloat16_is_near_full_precision_and_says_how_near(network: nn.Sequential) -> None:
    x, path = torch.randn(4, 3, 16, 16), LinearPath(0.0, 12)
    reduced, full = (
        DistributionalInfluence(
            network,
            ["0", "3"],
            distribution=path,
            quantity=[ClassScore(0), ClassScore(1) - ClassScore(2)],
            execution=Execution(precision=precision),
        )
        for precision in ("bfloat16", None)
    )
    pairs = list(zip(reduced.attribute(x), full.attribute(x), strict=True))
    assert reduced.chosen.precision == "bfloat16"
    assert full.chosen.relative_error is None
    errors = [float((a - b).norm() / b.norm()) for a, b in pairs]
    assert 0 < max(errors) < 3 * reduced.chosen.relative_error < 0.15
    for a, b in pairs:
        assert a.dtype == torch.float32
        assert float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0)) > 0.999


@fast_bfloat16
def test_bfloat16_leaves_the_network_as_it_was(network: nn.Sequential) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seen: list[torch.dtype] = []
    handle = network[8].register_forward_hook(lambda m, args, output: seen.append(output.dtype))
    wish = Execution(precision="bfloat16")
    DistributionalInfluence(network, "3", execution=wish).attribute(
        torch.randn(2, 3, 8, 8), target=0
    )
    handle.remove()
    assert torch.bfloat16 in seen
    assert network[2] is network[5]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == before[name].dtype
    assert not torch.is_autocast_enabled("cpu")


@fast_bfloat16
def test_a_large_error_is_warned_of() -> None:
    class Cancelling(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z @ torch.eye(4) * 1e3 - 1e3 * z + z**2

    model = nn.Sequential(nn.Linear(3, 4), Cancelling())
    wish = Execution(precision="bfloat16")
    influence = DistributionalInfluence(
        model, "0", quantity=lambda z: (z**2).sum(1), execution=wish
    )
    with pytest.warns(UserWarning, match=r"bfloat16.* away from full precision"):
        influence.attribute(torch.randn(2, 3))
    assert influence.chosen.relative_error > 0.05


def test_bfloat16_is_refused_where_it_would_be_emulated(
    network: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    influence = DistributionalInfluence(network, "3", execution=Execution(precision="bfloat16"))
    with pytest.raises(RuntimeError, match=r"expected a CPU with AVX512-BF16.*leave precision out"):
        influence.attribute(torch.randn(2, 3, 8, 8), target=0)


@fast_bfloat16
def test_bfloat16_is_refused_for_float64(model: nn.Sequential) -> None:
    influence = DistributionalInfluence(model, "0", execution=Execution(precision="bfloat16"))
    with pytest.raises(RuntimeError, match=r"expected a float32 network.*model.float\(\)"):
        influence.attribute(X, target=0)

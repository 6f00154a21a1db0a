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
from captum_influence.attr.integral.plan import rows_that_fit
from captum_influence.network.passes.sizes import Sizes

X = torch.sin(torch.arange(5 * 3 * 64, dtype=torch.float64)).reshape(5, 3, 8, 8)
MB = 2**20


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
    influence = DistributionalInfluence(model, "3", distribution=LinearPath(0.0, 8))
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


@pytest.mark.parametrize(
    ("largest", "rows"),
    [(100 * MB, 6), (3 * MB, 16), (1 * MB, 48), (MB // 2, 64), (MB // 256, 2048)],
)
def test_rows_on_a_cpu(largest: int, rows: int) -> None:
    assert rows_that_fit(Sizes(largest, 0, 0), torch.device("cpu")) == rows


def test_rows_on_a_cuda_device_follow_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000 * MB, 2000 * MB))
    device = torch.device("cuda")
    assert rows_that_fit(Sizes(10 * MB, 10 * MB, 40 * MB), device) == 5
    assert rows_that_fit(Sizes(1, 1, 1), device) == 512
    assert rows_that_fit(Sizes(10**10, 10**10, 10**11), device) == 1


def test_channels_last_changes_the_layout_only(model: nn.Sequential) -> None:
    layouts = []
    model[0].register_forward_pre_hook(
        lambda m, args: layouts.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    wish = Execution(memory_format="channels_last")
    found = DistributionalInfluence(model, "3", execution=wish).attribute(X, target=1)
    assert layouts[-1]
    assert torch.allclose(found, DistributionalInfluence(model, "3").attribute(X, target=1))

"""What is chosen for a network and a question, and that it only rounds otherwise."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import captum_influence
from captum_influence import ClassScore, DistributionalInfluence, LinearPath
from captum_influence.attr import Computation, Execution
from captum_influence.attr.integral.choices import rows_that_fit
from captum_influence.network.passes.sizes import Sizes

MB = 2**20


def _convolutions(width: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)]
    return nn.Sequential(*layers, *head).eval()


def _pictures(count: int = 1, pixels: int = 32) -> Tensor:
    return torch.randn(count, 3, pixels, pixels, generator=torch.Generator().manual_seed(1))


def _chosen(model: nn.Module, x: Tensor, layer: str = "1", n: int = 8, **wishes) -> Computation:
    influence = DistributionalInfluence(model, layer, execution=Execution(**wishes))
    influence.attribute(x, target=1, n_steps=n)
    assert influence.chosen is not None
    return influence.chosen


def test_pictures_in_a_convolutional_network_are_laid_out_channels_last() -> None:
    found = _chosen(_convolutions(), _pictures())
    assert found.memory_format == "channels_last"
    assert any(reason.startswith("channels_last: ") for reason in found.reasons)


@pytest.mark.parametrize(
    ("model", "x", "why"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), torch.ones(2, 4), "aren't pictures"),
        (_convolutions().double(), _pictures().double(), "no faster kernels"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3072, 4)), _pictures(), "no convolution"),
        (_convolutions(), _pictures(pixels=8), "fewer than 512"),
    ],
)
def test_where_channels_last_does_not_pay_points_stay_as_they_came(
    model: nn.Module, x: Tensor, why: str
) -> None:
    found = _chosen(model, x, n=2)
    assert found.memory_format == "preserve"
    assert any(why in reason for reason in found.reasons)


def test_what_is_asked_for_is_done_and_gives_no_reason() -> None:
    wishes = {"memory_format": "preserve", "quantities": "loop", "pooled": False}
    found = _chosen(_convolutions(), _pictures(), **wishes)
    assert (found.memory_format, found.quantities, found.pooled) == ("preserve", "loop", False)
    assert len(found.reasons) == 1  # the rows, of internal_batch_size=None


def test_memory_is_pooled_where_several_large_micro_batches_follow() -> None:
    model = _convolutions(16)
    assert _chosen(model, _pictures(4, pixels=128), n=32).pooled
    assert not _chosen(model, _pictures(1, pixels=128), n=2).pooled


def test_the_choices_differ_from_the_plain_way_by_rounding() -> None:
    model, x = _convolutions(), _pictures(2)
    quantity = [ClassScore(0), ClassScore(1), ClassScore(2) - ClassScore(1)]
    found = {
        name: DistributionalInfluence(
            model, ["0", "2"], quantity=quantity, execution=execution
        ).attribute(x, n_steps=20)
        for name, execution in {"auto": Execution(), "plain": Execution.plain()}.items()
    }
    exact = DistributionalInfluence(model.double(), ["0", "2"], quantity=quantity)
    truth = exact.attribute(x.double(), n_steps=20)
    for auto, plain, true in zip(found["auto"], found["plain"], truth, strict=True):
        assert float((auto - plain).norm() / plain.norm()) < 1e-3  # decisions of ReLUs near zero
        assert float((auto - true).norm() / true.norm()) < 1e-3


def test_the_same_question_is_computed_alike_each_time() -> None:
    model, x = _convolutions(), _pictures(2)
    influence = DistributionalInfluence(model, "1", distribution=LinearPath(0.0, 30))
    first, chosen = influence.attribute(x, target=0), influence.chosen
    assert torch.equal(influence.attribute(x, target=0), first)
    assert influence.chosen == chosen


@pytest.mark.parametrize(
    ("largest", "rows"),
    [(100 * MB, 6), (3 * MB, 16), (1 * MB, 48), (MB // 2, 64), (MB // 256, 2048)],
)
def test_rows_on_a_cpu(largest: int, rows: int) -> None:
    assert rows_that_fit(Sizes(largest, 0, 0), torch.device("cpu")) == rows


@pytest.mark.parametrize(
    ("kept", "rows"), [(8 * MB, 48), (32 * MB, 12), (60 * MB, 6), (900 * MB, 6)]
)
def test_rows_on_a_cpu_keep_no_more_than_384_mb_for_the_way_back(kept: int, rows: int) -> None:
    assert rows_that_fit(Sizes(1 * MB, 1 * MB, kept), torch.device("cpu")) == rows


def test_a_deep_part_behind_the_layer_takes_fewer_rows_and_the_reason_says_why() -> None:
    torch.manual_seed(0)
    blocks = [module for _ in range(24) for module in (nn.Linear(256, 256), nn.Tanh())]
    model = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(400 * 256, 2)).double().eval()
    x = torch.randn(1, 400, 256, dtype=torch.float64)
    row = 400 * 256 * 8  # of one module's output; 47 modules, Flatten and the head are behind it
    found = _chosen(model, x, layer="0", n=16)
    assert found.rows * 48 * row <= 384 * MB < 16 * 48 * row
    assert any("its graph may keep 38 MB" in reason for reason in found.reasons)
    few = DistributionalInfluence(model, "0").attribute(x, target=1, n_steps=16)
    one = DistributionalInfluence(model, "0", execution=Execution.plain())
    many = one.attribute(x, target=1, n_steps=16, internal_batch_size=16)
    torch.testing.assert_close(few, many, rtol=1e-9, atol=1e-15)


def test_rows_on_a_cuda_device_follow_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000 * MB, 2000 * MB))
    device = torch.device("cuda")
    assert rows_that_fit(Sizes(10 * MB, 10 * MB, 40 * MB), device) == 5
    assert rows_that_fit(Sizes(1, 1, 1), device) == 512
    assert rows_that_fit(Sizes(10**10, 10**10, 10**11), device) == 1


def test_nothing_on_the_way_takes_a_lock_that_a_fork_would_inherit() -> None:
    """``cached_property`` has one for all of a class before Python 3.12."""
    package = Path(captum_influence.__file__).parent
    files = [file for folder in ("attr", "network") for file in (package / folder).rglob("*.py")]
    assert files
    assert not [f.name for f in files if "import cached_property" in f.read_text(encoding="utf-8")]

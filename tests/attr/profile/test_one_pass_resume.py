"""A pass that was cut off is taken up by the same question, to the last bit, and by no other."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    DistributionalInfluence,
    Function,
    InfluenceProfile,
    LinearPath,
    Loss,
    Noise,
    Samples,
)
from captum_influence.attr.profile.one_pass import Questioner

pytest.importorskip("safetensors")
N, STOP = 40, 21


def _net(weight: float = 1.0, shift: float = 0.0, act: Callable[[], nn.Module] = nn.Tanh) -> Any:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 5), act(), nn.BatchNorm1d(5), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)
    )
    net[5].weight.data.mul_(weight)
    net[2].running_mean.add_(shift)
    return net.eval()


class Scaled(nn.Module):
    """A network with a setting that is no weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.net = factor, _net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.factor * x)


class Data(Dataset[Any]):
    """Examples, of which those from ``stop`` on can't be read."""

    def __init__(self, stop: int, scale: float = 1.0, count: int = N) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x, self.stop = scale * torch.randn(count, 4, generator=generator), stop

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        if index >= self.stop:
            raise OSError("cut off")
        return self.x[index], index % 3


def _influence(net: Any = None, layer: Any = "1", **asked: Any) -> DistributionalInfluence:
    settings = {"distribution": LinearPath(0.0, 3), "quantity": ClassScore(0), **asked}
    return DistributionalInfluence(_net() if net is None else net, layer, **settings)


def _over(
    influence: DistributionalInfluence,
    checkpoint: Path | None,
    stop: int = N,
    loader: Any = None,
    data: Any = None,
    **asked: Any,
) -> InfluenceProfile:
    settings = {"batch_size": 5, **(loader or {})}
    batches = DataLoader(Data(stop, **(data or {})), **settings)
    return InfluenceProfile.over(
        influence, batches, checkpoint=checkpoint, checkpoint_every=1, **asked
    )


def _cut_off(path: Path, influence: DistributionalInfluence, **asked: Any) -> None:
    with pytest.raises(OSError, match="cut off"):
        _over(influence, path, **{"stop": STOP, **asked})
    assert path.exists()


def _entry(k: int) -> Function:
    return Function(lambda output: output[:, k])


def _with_default(k: int) -> Function:
    return Function(lambda output, k=k: output[:, k])


def _halves(k: int, inputs: Any, labels: Tensor) -> list[int]:
    return [int(label) % k for label in labels]


def _doubled(items: list[Any]) -> Any:
    return torch.stack([2 * x for x, _ in items]), torch.tensor([y for _, y in items])


Question = dict[str, Any]  # of _influence, and under "over" of InfluenceProfile.over
CHANGES: dict[str, tuple[Question, Question, str]] = {
    "weights": ({}, {"net": _net(weight=-3.0)}, "weights"),
    "buffers": ({}, {"net": _net(shift=1.0)}, "weights"),
    "modules": ({}, {"net": _net(act=nn.ReLU)}, "network"),
    "settings": (
        {"net": Scaled(1.0), "layer": "net.1"},
        {"net": Scaled(2.0), "layer": "net.1"},
        "network",
    ),
    "layer": ({}, {"layer": "4"}, "layers"),
    "side": ({"layer": Cut("4", "input")}, {"layer": Cut("4")}, "layers"),
    "shared input": (
        {"layer": Cut("4", "input")},
        {"layer": Cut("4", "input", shared=True)},
        "layers",
    ),
    "call": ({"layer": Cut("1")}, {"layer": Cut("1", call=0)}, "layers"),
    "select": (
        {"layer": Cut("1", select=lambda out: out)},
        {"layer": Cut("1", select=lambda out: (out, out)[0])},
        "layers",
    ),
    "sample_at": ({"layer": "4", "sample_at": "0"}, {"layer": "4", "sample_at": "1"}, "sample_at"),
    "measure_at": ({}, {"measure_at": "4"}, "measure_at"),
    "reference": (
        {"multiply_by_inputs": True},
        {"multiply_by_inputs": True, "reference": torch.ones(1, 4)},
        "reference",
    ),
    "displacement": ({}, {"multiply_by_inputs": True}, "multiply_by_inputs"),
    "class": ({}, {"quantity": ClassScore(2)}, "quantity"),
    "closure": ({"quantity": _entry(0)}, {"quantity": _entry(2)}, "quantity"),
    "default": ({"quantity": _with_default(0)}, {"quantity": _with_default(2)}, "quantity"),
    "code": (
        {"quantity": Function(lambda out: out[:, 0])},
        {"quantity": Function(lambda out: out[:, 0] * 2)},
        "quantity",
    ),
    "baseline": ({}, {"distribution": LinearPath(1.0, 3)}, "distribution"),
    "baselines": (
        {"distribution": Baselines(torch.zeros(2, 4), 2)},
        {"distribution": Baselines(torch.ones(2, 4), 2)},
        "distribution",
    ),
    "noise": (
        {"distribution": Noise(torch.distributions.Normal(0.0, 0.1), 2)},
        {"distribution": Noise(torch.distributions.Normal(0.0, 0.2), 2)},
        "distribution",
    ),
    "samples": (
        {"distribution": Samples(lambda x: torch.stack([x, 2 * x]))},
        {"distribution": Samples(lambda x: torch.stack([x, 3 * x]))},
        "distribution",
    ),
    "groups": (
        {"over": {"group_by": lambda x, y: y.tolist()}},
        {"over": {"group_by": lambda x, y: (2 - y).tolist()}},
        "group_by",
    ),
    "groups by a partial": (
        {"over": {"group_by": functools.partial(_halves, 2)}},
        {"over": {"group_by": functools.partial(_halves, 3)}},
        "group_by",
    ),
    "aggregate": ({}, {"over": {"aggregate": "mean"}}, "aggregate"),
    "pictures": ({}, {"over": {"data": {"scale": -2.0}}}, "data"),
    "more pictures": ({}, {"over": {"data": {"count": 2 * N}, "stop": 2 * N}}, "size"),
    "batch size": ({}, {"over": {"loader": {"batch_size": 10}}}, "order"),
    "order": ({}, {"over": {"loader": {"shuffle": True}}}, "order"),
    "a list's order": (
        {"over": {"loader": {"sampler": list(range(N))}}},
        {"over": {"loader": {"sampler": list(range(N))[::-1]}}},
        "order",
    ),
    "subset": (
        {"over": {"loader": {"sampler": SubsetRandomSampler(range(30))}, "stop": 29}},
        {"over": {"loader": {"sampler": SubsetRandomSampler(range(10, N))}}},
        "order",
    ),
    "collate": ({}, {"over": {"loader": {"collate_fn": _doubled}}}, "collate"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_question_is_refused_by_the_name_of_what_changed(
    tmp_path: Path, name: str
) -> None:
    before, after, differs = copy.deepcopy(CHANGES[name])
    path = tmp_path / "checkpoint"
    torch.manual_seed(0)
    first, then = before.pop("over", {}), after.pop("over", {})
    _cut_off(path, _influence(**before), **first)
    with pytest.raises(ValueError, match=rf"expected a checkpoint .* {differs} \(") as refused:
        _over(_influence(**after), path, **then)
    assert "remove the file, or name another" in str(refused.value)
    path.unlink()  # the cure
    assert _over(_influence(**after), path, **then).groups


SAME: dict[str, Callable[[], tuple[Question, Question]]] = {
    "plain": lambda: ({}, {}),
    "a closure": lambda: ({"quantity": _entry(1)}, {}),
    "a default": lambda: ({"quantity": _with_default(1)}, {}),
    "drawn points": lambda: ({"distribution": Noise(0.3, 2)}, {}),
    "groups": lambda: ({}, {"group_by": functools.partial(_halves, 2)}),
}


def _forward(net: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: net(x)


@pytest.mark.parametrize("name", SAME)
def test_the_same_question_is_taken_up_bit_by_bit(tmp_path: Path, name: str) -> None:
    path = tmp_path / "checkpoint"
    asked, over = SAME[name]()
    _cut_off(path, _influence(**asked), **over)
    again, over = SAME[name]()  # made anew, as in another process
    found, whole = (
        _over(_influence(**again), path, **over),
        _over(_influence(**again), None, **over),
    )
    assert found.groups == whole.groups
    for group in whole.groups:
        assert torch.equal(found.mean(group), whole.mean(group))
        assert torch.equal(found.variance(group), whole.variance(group))


def test_a_function_that_runs_the_network_is_known_by_its_weights(tmp_path: Path) -> None:
    def asked(weight: float) -> DistributionalInfluence:
        net = _net(weight)
        return _influence(_forward(net), net[1])

    _cut_off(tmp_path / "checkpoint", asked(1.0))
    with pytest.raises(ValueError, match=r"network \("):
        _over(asked(2.0), tmp_path / "checkpoint")
    found, whole = _over(asked(1.0), tmp_path / "checkpoint"), _over(asked(1.0), None)
    assert torch.equal(found.mean(), whole.mean())


def test_pictures_that_are_drawn_anew_are_the_same_data(tmp_path: Path) -> None:
    """What differs from one reading to the next says nothing; what doesn't is compared."""

    class Cropped(Data):
        def __getitem__(self, index: int) -> Any:
            x, y = super().__getitem__(index)
            return x + torch.rand(4), y + self.shift

        shift = 0

    data, path = Cropped(STOP), tmp_path / "checkpoint"
    settings: dict[str, Any] = {"checkpoint": path, "checkpoint_every": 1}
    with pytest.raises(OSError, match="cut off"):
        InfluenceProfile.over(_influence(), DataLoader(data, 5), **settings)
    data.stop, data.shift = N, 1
    with pytest.raises(ValueError, match=r"data \("):
        InfluenceProfile.over(_influence(), DataLoader(data, 5), **settings)
    data.shift = 0
    assert InfluenceProfile.over(_influence(), DataLoader(data, 5), **settings).count() == N


class Own(DataLoader[Any]):
    """A loader whose batches can't be had by index."""

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()


def test_batches_that_come_as_before_are_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    settings: dict[str, Any] = {"checkpoint": path, "checkpoint_every": 1}
    with pytest.raises(OSError, match="cut off"):
        InfluenceProfile.over(_influence(), Own(Data(STOP), 5), **settings)
    found = InfluenceProfile.over(_influence(), Own(Data(N), 5), **settings)
    assert torch.equal(found.mean(), _over(_influence(), None).mean())


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (lambda: Own(Data(N), 5, shuffle=True), "other batches than the 4 that it had read"),
        (lambda: Own(Data(N, scale=2.0), 5), "other batches"),
        (lambda: Own(Data(N), 4), "other batches"),
        (lambda: Own(Data(N, count=10), 5), "2 batches, fewer than the 4"),
    ],
    ids=["another order", "other pictures", "other sizes", "fewer"],
)
def test_batches_that_come_otherwise_are_refused(
    tmp_path: Path, loader: Callable[[], Any], message: str
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "checkpoint"
    settings: dict[str, Any] = {"checkpoint": path, "checkpoint_every": 1}
    with pytest.raises(OSError, match="cut off"):
        InfluenceProfile.over(_influence(), Own(Data(STOP), 5), **settings)
    with pytest.raises(ValueError, match=rf"checkpoint of this question.* data differ.*{message}"):
        InfluenceProfile.over(_influence(), loader(), **settings)


def test_another_way_of_loading_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    _cut_off(path, _influence())
    with pytest.raises(ValueError, match="another question: loader"):
        InfluenceProfile.over(_influence(), Own(Data(N), 5), checkpoint=path)


def test_labels_of_a_loss_are_part_of_the_question(tmp_path: Path) -> None:
    def asked(label: int) -> DistributionalInfluence:
        loss = nn.CrossEntropyLoss(reduction="none")
        return _influence(quantity=Loss(loss, torch.full((5,), label)))

    _cut_off(tmp_path / "checkpoint", asked(0))
    with pytest.raises(ValueError, match=r"quantity \("):
        _over(asked(1), tmp_path / "checkpoint")


def test_every_argument_of_the_question_is_part_of_its_identity() -> None:
    """What is added to the measure must be added here, or not change the numbers."""
    arguments = set(inspect.signature(DistributionalInfluence).parameters)
    unchanging = {"device_ids", "execution"}
    called = {"forward_func": "network", "layer": "layers"}
    named = {called.get(argument, argument) for argument in arguments - unchanging}
    assert named <= Questioner(_influence(), None, "sum", 1, None).identity.keys()

"""Whatever a loader yields is what is profiled: against gradients of one example at a time."""

from collections import UserDict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

from captum_influence import ClassScore, DistributionalInfluence, InfluenceProfile, Point

N = 13


def _numbers(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


X, Z, Y = _numbers(0, N, 3), _numbers(1, N, 3), torch.arange(N) % 4
ONES, MASK = torch.ones(N).long(), torch.arange(N) % 2


def _plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).double().eval()


class Two(nn.Module):
    """A network of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 4)
        self.act = nn.Tanh()
        self.double().eval()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.c(self.act(self.a(first) + self.b(second)))


class Optional(Two):
    """A network whose further inputs may be left out."""

    def forward(  # type: ignore[override]
        self, first: Tensor, second: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        hidden = self.a(first) if second is None else self.a(first) + self.b(second)
        return self.c(self.act(hidden if mask is None else hidden * mask[:, None]))


def _by_example(net: nn.Module, layer: str, inputs: tuple[Any, ...], classes: Tensor) -> Tensor:
    """The mean over examples of the class score's gradient at a layer, one after the other."""
    rows = []
    for i, label in enumerate(classes):
        seen: list[Tensor] = []
        handle = net.get_submodule(layer).register_forward_hook(lambda m, a, out: seen.append(out))  # noqa: B023
        output = net(*(None if x is None else x[i : i + 1] for x in inputs))
        handle.remove()
        rows.append(torch.autograd.grad(output[0, label], seen[0])[0][0])
    return torch.stack(rows).mean(0)


def _mean(net: nn.Module, layer: str, loader: Any, quantity: Any = None) -> Tensor:
    influence = DistributionalInfluence(net, layer, distribution=Point(), quantity=quantity)
    return InfluenceProfile.over(influence, loader).mean()


def _batches(*columns: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(column.split(4) for column in columns), strict=True))


class Stream(IterableDataset[Any]):
    """Examples without a length or indices, shared out among workers."""

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter([(X[i], Y[i]) for i in range(first, N, step)])


class Named(Dataset[Any]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Any:
        return {"pixel_values": X[index], "labels": Y[index], "file": f"{index}.png"}


class Tripling(DataLoader[Any]):
    def __iter__(self) -> Any:
        for inputs, labels in super().__iter__():
            yield 3 * (inputs - 1), labels


LOADERS: dict[str, tuple[Any, Tensor]] = {
    "own iteration": (Tripling(TensorDataset(X, Y), 4), 3 * (X - 1)),
    "own iteration, shuffled": (Tripling(TensorDataset(X, Y), 4, shuffle=True), 3 * (X - 1)),
    "own iteration, workers": (Tripling(TensorDataset(X, Y), 4, num_workers=2), 3 * (X - 1)),
    "stream": (DataLoader(Stream(), batch_size=4), X),
    "stream, workers": (DataLoader(Stream(), batch_size=4, num_workers=2), X),
    "dicts": (DataLoader(Named(), batch_size=4), X),
    "dicts, shuffled": (DataLoader(Named(), batch_size=4, shuffle=True), X),
    "encodings": ([UserDict(x=x, label=y) for x, y in _batches(X, Y)], X),
    "dicts and labels": ([({"x": x}, y) for x, y in _batches(X, Y)], X),
    "lists of labels": ([(x, y.tolist()) for x, y in _batches(X, Y)], X),
    "whole batches": (DataLoader(_batches(X, Y), batch_size=None), X),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_is_read_as_it_is(name: str) -> None:
    loader, seen = LOADERS[name]
    wanted = _by_example(_plain(), "1", (seen,), Y)
    torch.testing.assert_close(_mean(_plain(), "1", loader), wanted, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("terminal")
def test_a_stream_s_length_is_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    class Silent(Stream):
        def __len__(self) -> int:
            raise NotImplementedError

    influence = DistributionalInfluence(_plain(), "1", distribution=Point())
    loader = DataLoader(Silent(), batch_size=4)
    assert InfluenceProfile.over(influence, loader, show_progress=True).count() == N
    assert "4batch" in capsys.readouterr().err


PAIRS: dict[str, tuple[type[nn.Module], Any, tuple[Any, ...], Any]] = {
    "a network of two": (Two, _batches(X, Z), (X, Z), ClassScore(1)),
    "a data set of both": (Two, DataLoader(TensorDataset(X, Z), 4), (X, Z), ClassScore(1)),
    "two and a label": (Two, _batches(X, Z, Y), (X, Z), None),
    "two together": (Two, [((x, z), y) for x, z, y in _batches(X, Z, Y)], (X, Z), None),
    "two said to be": (Optional, [((x, z),) for x, z in _batches(X, Z)], (X, Z), ClassScore(1)),
    "one said to be": (Optional, [((x,), z) for x, z in _batches(X, Z)], (X,), ClassScore(1)),
    "whole numbers": (Optional, _batches(X, Y), (X,), None),
    "by names": (
        Optional,
        [{"second": z, "first": x, "labels": y} for x, z, y in _batches(X, Z, Y)],
        (X, Z),
        None,
    ),
    "with a gap": (
        Optional,
        [{"mask": m, "first": x, "labels": y} for x, m, y in _batches(X, MASK, Y)],
        (X, None, MASK),
        None,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_second_inputs_are_told_from_labels(name: str) -> None:
    kind, loader, inputs, quantity = PAIRS[name]
    wanted = _by_example(kind(), "act", inputs, ONES if quantity else Y)
    found = _mean(kind(), "act", loader, quantity)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_what_may_be_either_is_asked_for_and_the_cure_runs() -> None:
    with pytest.raises(TypeError, match=r"generator \(\(\(x, z\),\) for x, z in loader\)"):
        _mean(Optional(), "act", _batches(X, Z), ClassScore(1))
    loader = _batches(X, Z)
    found = _mean(Optional(), "act", (((x, z),) for x, z in loader), ClassScore(1))
    wanted = _by_example(Optional(), "act", (X, Z), ONES)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_further_arguments_are_there_when_groups_are_predicted() -> None:
    loader = [{"mask": m, "first": x} for x, m in _batches(X, MASK)]
    influence = DistributionalInfluence(
        Optional(), "act", distribution=Point(), quantity=ClassScore(1)
    )
    profile = InfluenceProfile.over(influence, loader, group_by="predicted")
    answers = Optional()(X, None, MASK).argmax(1).bincount(minlength=4)
    assert [profile.count(group) for group in profile.groups] == answers[answers > 0].tolist()

"""Columns are the data set's own examples, whatever the loader: against one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from captum_influence import LayerInfluence

N, Q = 13, 2


def _data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=generator, dtype=torch.float64)
    return x, torch.randint(4, (N,), generator=generator)


X, Y = _data()
DATA = TensorDataset(X, Y)
MIXED = [3, 12, 1, 10, 0, 2, 9, 11, 4, 8, 5, 7, 6]


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4)).double()


def _gradients(x: Tensor, y: Tensor) -> Tensor:
    net, rows = _net(), []
    for i in range(len(x)):
        loss = cross_entropy(net(x[i : i + 1]), y[i : i + 1])
        found = torch.autograd.grad(loss, list(net.parameters()))
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(rows)


def _influence(data: Any, **options: Any) -> LayerInfluence:
    settings = {"loss_fn": nn.CrossEntropyLoss(), "curvature": "identity", **options}
    return LayerInfluence(_net(), data, **settings)


class Buckets(Sampler[list[int]]):
    """Batches of examples that belong together."""

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(3).tolist()
        return iter([[MIXED[:5], MIXED[5:7], MIXED[7:]][place] for place in order])

    def __len__(self) -> int:
        return 3


class Named(Dataset[Any]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Any:
        return {"label": Y[index], "input": X[index], "file": f"{index}.png"}


class Own(DataLoader[Any]):
    def __iter__(self) -> Any:
        return super().__iter__()


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(DATA)


LOADERS: dict[str, Any] = {
    "data set": lambda: DATA,
    "in order": lambda: DataLoader(DATA, 4),
    "shuffled": lambda: DataLoader(DATA, 4, shuffle=True),
    "by workers": lambda: DataLoader(DATA, 4, shuffle=True, num_workers=2),
    "the rest dropped": lambda: DataLoader(DATA, 4, drop_last=True),
    "shuffled, the rest dropped": lambda: DataLoader(DATA, 4, shuffle=True, drop_last=True),
    "weighted": lambda: DataLoader(DATA, 4, sampler=WeightedRandomSampler(torch.rand(N) + 0.1, 9)),
    "subset of all": lambda: DataLoader(DATA, 4, sampler=SubsetRandomSampler(MIXED)),
    "distributed": lambda: DataLoader(DATA, 4, sampler=DistributedSampler(DATA, 2, 1)),
    "batches of a shuffle": lambda: DataLoader(
        DATA, batch_sampler=BatchSampler(RandomSampler(DATA), 4, False)
    ),
    "buckets": lambda: DataLoader(DATA, batch_sampler=Buckets()),
    "a list": lambda: DataLoader(DATA, 4, sampler=MIXED),
    "lists": lambda: DataLoader(DATA, batch_sampler=[MIXED[:6], MIXED[6:]]),
    "made by the data set": lambda: DataLoader(
        DATA, sampler=BatchSampler(RandomSampler(DATA), 4, False), batch_size=None
    ),
    "by names": lambda: DataLoader(Named(), 4, shuffle=True),
    "own iteration": lambda: Own(DATA, 4),
    "stream": lambda: DataLoader(Stream(), 4),
    "subset": lambda: DataLoader(Subset(DATA, range(N)), 4, shuffle=True),
}


@pytest.mark.parametrize("name", LOADERS)
def test_columns_are_the_data_set_s_examples(name: str) -> None:
    torch.manual_seed(1)
    wanted = _gradients(X[:Q], Y[:Q]) @ _gradients(X, Y).T
    influence = _influence(LOADERS[name]())
    torch.testing.assert_close(influence.influence((X[:Q], Y[:Q])), wanted)
    top = influence.influence((X[:Q], Y[:Q]), k=3)
    assert torch.equal(top.indices, wanted.topk(3).indices)
    torch.testing.assert_close(influence.self_influence(), _gradients(X, Y).square().sum(1))


@pytest.mark.parametrize("name", ["shuffled", "weighted", "buckets", "the rest dropped"])
def test_curvature_and_scale_are_those_of_the_whole_data_set(name: str) -> None:
    wanted = _influence(DATA, curvature="ggn", damping=0.1).influence((X[:Q], Y[:Q]))
    found = _influence(LOADERS[name](), curvature="ggn", damping=0.1).influence((X[:Q], Y[:Q]))
    torch.testing.assert_close(found, wanted)


def test_a_subset_has_its_own_columns() -> None:
    part = Subset(DATA, [5, 0, 7])
    wanted = _gradients(X[:Q], Y[:Q]) @ _gradients(X[[5, 0, 7]], Y[[5, 0, 7]]).T
    for data in (part, DataLoader(part, 2), DataLoader(part, 2, shuffle=True)):
        torch.testing.assert_close(_influence(data).influence((X[:Q], Y[:Q])), wanted)


def test_a_sampler_of_some_is_refused_and_the_cures_run() -> None:
    loader = DataLoader(DATA, 4, sampler=SubsetRandomSampler([5, 0, 7]))
    with pytest.raises(ValueError, match=r"Subset\(dataset, indices\) .* loader\.dataset, for all"):
        _influence(loader)
    for cure, count in ((Subset(DATA, [5, 0, 7]), 3), (loader.dataset, N)):
        assert _influence(cure).influence((X[:Q], Y[:Q])).shape == (Q, count)


def test_curvature_may_be_of_some() -> None:
    some = [5, 0, 7, 2, 3, 12]
    loader = DataLoader(DATA, 4, sampler=SubsetRandomSampler(some))
    options: dict[str, Any] = {"curvature": "ggn", "damping": 0.1}
    found = _influence(DATA, hessian_dataset=loader, **options)
    wanted = _influence(DATA, hessian_dataset=Subset(DATA, some), **options)
    queries = (X[:Q], Y[:Q])
    torch.testing.assert_close(found.influence(queries), wanted.influence(queries))


def test_rows_are_those_of_the_queries() -> None:
    influence, wanted = _influence(DATA), _gradients(X, Y) @ _gradients(X, Y).T
    for queries in (DataLoader(DATA, 4, shuffle=True), {"input": X, "labels": Y}, Named(), (X, Y)):
        torch.testing.assert_close(influence.influence(queries), wanted)


class Reversed(DataLoader[Any]):
    def __iter__(self) -> Any:
        return iter(list(super().__iter__())[::-1])


def _some(items: list[Any]) -> Any:
    return torch.utils.data.default_collate(items[:3])


@pytest.mark.parametrize(
    "loader",
    [
        Reversed(DATA, 4),
        DataLoader(DATA, 4, collate_fn=_some),
        DataLoader(Stream(), 4, num_workers=2),
        DataLoader(Stream(), 4, drop_last=True),
    ],
    ids=["own order", "a collate_fn that leaves out", "a stream of workers", "a stream cut short"],
)
def test_examples_of_unknown_place_are_refused(loader: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a .* order"):
        _influence(loader).influence((X[:Q], Y[:Q]))

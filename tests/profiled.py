"""What tests of profiles share, also those that run in processes of their own: a small problem."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import InfluenceProfile

COUNT = 30


def model() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(20, 3)).double().eval()


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(COUNT, 2, 6, 6, generator=generator, dtype=torch.float64)
    return TensorDataset(images, torch.randint(3, (COUNT,), generator=generator))


def loader(batch: int = 8, **settings: Any) -> DataLoader[Any]:
    return DataLoader(data(), batch_size=batch, **settings)


def same(a: InfluenceProfile, b: InfluenceProfile, tolerance: float = 0.0) -> bool:
    return a.groups == b.groups and all(
        x.count == y.count
        and torch.allclose(x.mean, y.mean, rtol=0, atol=tolerance)
        and torch.allclose(x.squares, y.squares, rtol=0, atol=tolerance)
        for group in a.groups
        for x, y in zip(a.moments[group], b.moments[group], strict=True)
    )


class Interrupted(Exception):
    """Stands in for whatever ends a run."""


def breaking(loader: DataLoader[Any], after: int) -> Iterator[Any]:
    for number, batch in enumerate(loader):
        if number == after:
            raise Interrupted
        yield batch


def shuffled(seed: int) -> DataLoader[Any]:
    """Each process, and each run, would shuffle in an order of its own."""
    return loader(3, shuffle=True, generator=torch.Generator().manual_seed(seed))

"""A small network with a planted bias, and pictures to ask it about."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

N, PLANTED = 60, range(16)

Problem = tuple[nn.Sequential, TensorDataset, Tensor, Tensor]


def _problem() -> Problem:
    """Two classes by brightness of the left half; a bright corner is planted in class 1."""
    generator = torch.Generator().manual_seed(0)
    x = 0.3 * torch.rand(N, 1, 6, 6, generator=generator)
    y = (torch.arange(N) % 2).long()
    y[list(PLANTED)] = 1
    x[y == 1, :, :, :3] += 0.15
    x[list(PLANTED), :, :2, 4:] = 1.0
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    model.eval()
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    model.zero_grad()
    test = 0.3 * torch.rand(12, 1, 6, 6, generator=generator)
    marked = test.clone()
    marked[:, :, :2, 4:] = 1.0
    return model, TensorDataset(x, y), test, marked


@pytest.fixture(scope="package")
def problem() -> Problem:
    """The network, its training data, and test pictures without and with the planted mark."""
    return _problem()


@pytest.fixture
def make_problem() -> Callable[[], Problem]:
    return _problem

"""What tests of training images share: a small network, data to train it on, and a bad disk."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

N, Q = 30, 5
SAMPLED = 8  # reads of a few examples, by which resumed runs know their data

LOSSES = [nn.CrossEntropyLoss(reduction="sum"), nn.CrossEntropyLoss(reduction="mean")]


class Net(nn.Module):
    """A small convolutional network of Captum's kind: all layers are attributes."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.hidden = nn.Linear(12, 6)
        self.head = nn.Linear(6, 4, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.hidden(torch.relu(self.conv(x)).flatten(1))))


def problem() -> tuple[Net, TensorDataset, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    x, y = torch.randn(N, 1, 4, 4, dtype=torch.float64), torch.randint(0, 4, (N,))
    queries = torch.randn(Q, 1, 4, 4, dtype=torch.float64), torch.randint(0, 4, (Q,))
    return Net().double(), TensorDataset(x, y), queries


def load(model: nn.Module, path: str) -> float:
    model.load_state_dict(torch.load(path))
    return 0.5 / int(Path(path).stem)


class Failing(Dataset):
    """Counts reads, and fails at one of them while `armed`."""

    def __init__(self, data: TensorDataset) -> None:
        self.data, self.reads, self.fails_at = data, 0, None

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> tuple[Tensor, ...]:
        self.reads += 1
        if self.fails_at is not None and self.reads > self.fails_at:
            raise OSError("disk gone")
        return self.data[i]

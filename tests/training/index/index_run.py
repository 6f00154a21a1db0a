"""Run as a process: an index of a small network, built alone or under torchrun, slowly if asked."""

import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from captum_influence import InfluenceIndex, LayerInfluence

EXAMPLES, BATCH = 150, 2  # 75 batches: five shards of one process


class Slow(Dataset):
    """Takes its time over each example."""

    def __init__(self, data: TensorDataset, seconds: float) -> None:
        self.data, self.seconds = data, seconds

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, ...]:
        time.sleep(self.seconds)
        return self.data[i]


def problem() -> tuple[nn.Module, TensorDataset, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3)).double()
    x, y = torch.randn(EXAMPLES, 4, dtype=torch.float64), torch.randint(0, 3, (EXAMPLES,))
    queries = torch.randn(3, 4, dtype=torch.float64), torch.randint(0, 3, (3,))
    return model, TensorDataset(x, y), queries


def influence(seconds: float = 0.0) -> LayerInfluence:
    model, data, _ = problem()
    return LayerInfluence(
        model,
        Slow(data, seconds),
        loss_fn=nn.CrossEntropyLoss(),
        batch_size=BATCH,
        hessian_dataset=data,
    )


def index(path: Path, seconds: float = 0.0) -> InfluenceIndex:
    return influence(seconds).index(path, dimension=None, dtype=torch.float64)


if __name__ == "__main__":
    torch.set_num_threads(1)
    built = index(Path(sys.argv[1]), float(sys.argv[2]))
    found = built.scores(problem()[2])
    torch.testing.assert_close(found, influence().influence(problem()[2]))

"""What tests of wrong answers share: a network whose units vote, in numbers a reader can add up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WEIGHTS = torch.tensor([[3.0, 2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, 0.5], [0.0] * 5]).double()
ALL_ON = torch.ones(1, 5, dtype=torch.float64)  # scores 6, 4.5, 0


def voters() -> nn.Sequential:
    """Three units raise class 0 by 3, 2 and 1, two raise class 1 by 4 and a half."""
    units, head = nn.ReLU(), nn.Linear(5, 3, bias=False)
    head.weight = nn.Parameter(WEIGHTS.clone())
    return nn.Sequential(units, head).eval()


class Series(nn.Module):
    """The voters, each fed by one channel of a series."""

    def __init__(self) -> None:
        super().__init__()
        self.pick = nn.Conv1d(5, 5, 1, bias=False)
        self.pick.weight = nn.Parameter(torch.eye(5, dtype=torch.float64)[..., None])
        self.vote = voters()

    def forward(self, series: Tensor) -> Tensor:
        return self.vote(self.pick(series).mean(dim=2))


class Eyes(nn.Module):
    """The voters, each looking at one quarter of a picture, the fifth at all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.AvgPool2d(4)
        self.vote = voters()

    def forward(self, pictures: Tensor) -> Tensor:
        seen = self.look(pictures).sum(dim=1).flatten(1)  # (examples, 4)
        return self.vote(torch.cat([seen, seen.mean(dim=1, keepdim=True)], dim=1))

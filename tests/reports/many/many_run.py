"""Run by torchrun from test_find: each process explains its share of six inputs."""

import sys

import torch
from torch import nn

from captum_influence import explain


def main(out: str) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(16, 3)).eval()
    inputs = list(torch.rand(6, 3, 8, 8))
    found = explain(network, inputs, "1", 0, top=1, overlay=False, out=out)
    assert [entry.name for entry in found.entries] == [f"number {i}" for i in range(6)]


if __name__ == "__main__":
    main(sys.argv[1])

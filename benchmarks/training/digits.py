"""What the studies of training images share: digits, small networks, and how they are trained."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from benchmarks.provenance import keep

TRAIN, QUERIES, FLIPPED = 600, 100, 0.1


@dataclass(frozen=True, eq=False)
class Problem:
    """Digits with some labels flipped, and clean test digits."""

    x: Tensor
    y: Tensor
    flipped: Tensor
    test_x: Tensor
    test_y: Tensor

    @property
    def train(self) -> TensorDataset:
        return TensorDataset(self.x, self.y)


def digits(seed: int, flipped: float = FLIPPED) -> Problem:
    """600 training and 100 test digits, pixels in [0, 1], shape (n, 64)."""
    from sklearn.datasets import load_digits

    generator = torch.Generator().manual_seed(seed)
    images, labels = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    order = torch.randperm(len(labels), generator=generator)[: TRAIN + QUERIES]
    x, y = images[order].float() / 16, labels[order].long()
    noisy, wrong = with_wrong_labels(y[:TRAIN], flipped, generator)
    return Problem(x[:TRAIN], noisy, wrong, x[TRAIN:], y[TRAIN:])


def with_wrong_labels(y: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Labels from 0 to 9, a share of them drawn from the other nine, and which these are."""
    wrong = torch.zeros(len(y), dtype=torch.bool)
    wrong[torch.randperm(len(y), generator=generator)[: int(share * len(y))]] = True
    noisy = y.clone()
    drawn = torch.randint(1, 10, (int(wrong.sum()),), generator=generator)
    noisy[wrong] = (noisy[wrong] + drawn) % 10
    return noisy, wrong


def perceptron(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )


def layers_of(model: nn.Module) -> dict[str, list[str]]:
    """Layer -> names of its parameters."""
    found: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        found.setdefault(name.rsplit(".", 1)[0], []).append(name)
    return found


def fit(model: nn.Module, x: Tensor, y: Tensor, seed: int, epochs: int = 40) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((model(x).argmax(1) == y).double().mean())


def study_parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """Return what reads a study's command line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.training.{name}", description=about
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    return parser


def run_studies(
    name: str, study: Callable[[int], dict[str, Any]], asked: argparse.Namespace
) -> None:
    """Make a study with each seed, print what was found, and write it as JSON."""
    torch.set_num_threads(asked.threads)
    found = {}
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        found[f"seed {seed}"] = study(seed)
        show(f"{name} / seed {seed}", found[f"seed {seed}"])
    keep(asked.out, {name: found})


def show(label: str, value: object) -> None:
    """Print a line for each number, or other value, in nested dictionaries."""
    if isinstance(value, dict):
        for key, inner in value.items():
            show(f"{label} / {key}", inner)
    else:
        shown = f"{value:.3f}" if isinstance(value, float) else value
        print(f"{label:<80} {shown}", flush=True)

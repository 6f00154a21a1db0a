"""Pictures of CIFAR-10, some mislabelled, and small convolutional networks for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.trained import data_folder
from benchmarks.training.digits import FLIPPED, Problem, with_wrong_labels

IMAGES, QUERIES = 800, 120


def cifar(seed: int, images: int = IMAGES) -> Problem:
    """Training pictures and 120 test pictures, a tenth of the training labels wrong."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("expected CIFAR-10 in $CAPTUM_INFLUENCE_DATA/cifar10")
    arrays = np.load(folder / "cifar10" / "cifar10_subset.npz")
    generator = torch.Generator().manual_seed(seed)
    x, y = _drawn(arrays["x_train"], arrays["y_train"], images, generator)
    test_x, test_y = _drawn(arrays["x_test"], arrays["y_test"], QUERIES, generator)
    noisy, wrong = with_wrong_labels(y, FLIPPED, generator)
    return Problem(x, noisy, wrong, test_x, test_y)


def _drawn(
    images: np.ndarray, labels: np.ndarray, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    chosen = torch.randperm(len(labels), generator=generator)[:count]
    pixels = torch.from_numpy(images)[chosen].permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels, torch.from_numpy(labels).long().flatten()[chosen]


def convolutional(seed: int) -> nn.Sequential:
    """A network of 15 558 parameters."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, stride=2), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(),
        nn.Linear(512, 20), nn.ReLU(), nn.Linear(20, 10),
    )  # fmt: skip

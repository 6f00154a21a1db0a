"""What tests of classes share: pictures that the network with two eyes tells apart."""

from __future__ import annotations

import torch
from torch import Tensor

RED = torch.tensor([1.0, 0.5, 0.75, 0.25], dtype=torch.float64)
GREEN = torch.tensor([0.8, 0.6, 1.0, 0.4], dtype=torch.float64)
LITTLE = 0.1

Loader = list[tuple[Tensor, Tensor]]


def pictures() -> Loader:
    """Ten of each class: 0 is red in the upper left, 1 is green in the lower right."""
    images = torch.zeros(20, 3, 8, 8, dtype=torch.float64)
    images[:10, 0, :4, :4] = torch.linspace(0.1, 1, 10, dtype=torch.float64)[:, None, None]
    images[10:, 1, 4:, 4:] = torch.linspace(0.1, 1, 10, dtype=torch.float64)[:, None, None]
    return [(images, torch.arange(20) // 10)]


def red_scenes(red: Tensor = RED, others: int = 4) -> Loader:
    """Pictures of class 0, red in the upper left corner as given, and as many green of class 1."""
    images = torch.zeros(len(red) + others, 3, 8, 8, dtype=torch.float64)
    images[: len(red), 0, :4, :4] = red[:, None, None]
    images[:, 1, 4:, 4:] = 0.1
    images[len(red) :, 1, 4:, 4:] = 1.0
    labels = torch.tensor([0] * len(red) + [1] * others)
    return [(images[::2], labels[::2]), (images[1::2], labels[1::2])]


def twin_scenes() -> Loader:
    """Three red pictures with a little green, and four green ones with a little red."""
    red, green = RED[:3], GREEN
    images = torch.zeros(len(red) + len(green), 3, 8, 8, dtype=torch.float64)
    images[:, 0, :4, :4] = torch.cat([red, torch.full_like(green, LITTLE)])[:, None, None]
    images[:, 1, 4:, 4:] = torch.cat([torch.full_like(red, LITTLE), green])[:, None, None]
    return [(images, torch.tensor([0] * len(red) + [1] * len(green)))]

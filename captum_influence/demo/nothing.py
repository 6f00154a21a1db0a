"""Pictures without an object: what a network should have no answer to, and baselines start from."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from captum_influence.demo.drawing import Drawing
from captum_influence.demo.layout import SIZE, Layout

__all__ = ["backgrounds", "clouds", "plain"]

_CELLS = (1, 2, 4, 8, 16, 32, SIZE)  # along a side


def plain(scenes: Tensor) -> Tensor:
    """Return black, grey, white and the mean of the scenes: (4, 3, 64, 64)."""
    mean = scenes.mean(0)
    return torch.stack([*(torch.full_like(mean, shade) for shade in (0.0, 0.5, 1.0)), mean])


def clouds(count: int) -> Tensor:
    """Draw random colours from PyTorch's generator: (count, 3, 64, 64).

    Half of them are one flat colour, the others a grid of colours between which it is
    interpolated, from one cell, flat as well, to one for each pixel, which is noise.
    """
    sizes = torch.randint(len(_CELLS), (count,)).tolist()
    cells = [1 if i % 2 else _CELLS[size] for i, size in enumerate(sizes)]
    grids = [torch.rand(1, 3, size, size) for size in cells]
    return torch.cat([functional.interpolate(grid, SIZE, mode="bilinear") for grid in grids])


def backgrounds(count: int, *, seed: int) -> Tensor:
    """Draw what ``SceneDataset(count, seed=seed)`` shows behind its objects: (count, 3, 64, 64)."""
    layouts = (Layout.draw(np.random.default_rng((seed, index))) for index in range(count))
    images = [torch.from_numpy(Drawing.start(layout).image()) for layout in layouts]
    return torch.stack(images)

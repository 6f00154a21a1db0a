"""Pictures as sums of waves, and the same picture seen slightly askew: what a prototype is made of.

Source: Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017,
https://doi.org/10.23915/distill.00007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Canvas", "Prior", "askew", "total_variation"]

# How much the colours of natural pictures vary along brightness, red-green and yellow-blue.
_COLOURS = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
_SPREADS = (1.0, 0.25, 0.2)


@dataclass(frozen=True)
class Prior:
    """What is known of pictures before the network is asked.

    Attributes:
        decay: how fast waves weaken with their frequency f, as 1 / f to this power; 0: not at all.
        jitter: by how many pixels, at most, the picture is shifted before each look.
        scale: by which share, at most, it is enlarged or shrunk before each look.
        total_variation: weight of the differences between neighbouring pixels; at 1 they resist
            about as strongly as the quantity pulls, whatever its scale.
    """

    decay: float = 1.0
    jitter: int = 4
    scale: float = 0.1
    total_variation: float = 0.3

    def __post_init__(self) -> None:
        if min(self.decay, self.jitter, self.total_variation) < 0 or not 0 <= self.scale < 1:
            raise ValueError(
                "expected decay, jitter and total_variation from 0 on, and a scale from 0 to below "
                f"1, got {self}"
            )


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture by its waves, whose gradient treats coarse and fine, bright and coloured alike.

    Attributes:
        waves: (3, height, width // 2 + 1, 2), real and imaginary parts; requires grad.
        size: height and width.
        decay: see :class:`Prior`.
    """

    waves: Tensor
    size: tuple[int, int]
    decay: float

    @staticmethod
    def blank(
        size: tuple[int, int], decay: float, generator: torch.Generator, device: torch.device
    ) -> Canvas:
        """Return a nearly grey picture, random waves of little height."""
        shape = (3, size[0], size[1] // 2 + 1, 2)
        waves = 0.01 * torch.randn(shape, generator=generator)
        return Canvas(waves.to(device).requires_grad_(), size, decay)

    def picture(self) -> Tensor:
        """Return it as (3, height, width) in (0, 1)."""
        spectrum = torch.view_as_complex(self.waves) * self._heights()
        planes = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")  # (3, height, width)
        return torch.sigmoid(torch.einsum("oc,ohw->chw", self._colours(), planes))

    def _heights(self) -> Tensor:
        height, width = self.size
        down = torch.fft.fftfreq(height)[:, None]
        along = torch.fft.rfftfreq(width)[None]
        frequency = (down**2 + along**2).sqrt().clamp(min=1 / max(height, width))
        heights = frequency**-self.decay
        # Whatever the decay, the same waves make a picture of the same contrast.
        scaled: Tensor = 4 * heights / heights.square().mean().sqrt()
        return scaled.to(self.waves.device)

    def _colours(self) -> Tensor:
        axes = _COLOURS / _COLOURS.norm(dim=1, keepdim=True)
        spread = torch.tensor(_SPREADS)[:, None]
        directions: Tensor = axes * spread * math.sqrt(3)
        return directions.to(self.waves.device)


def askew(pictures: Tensor, prior: Prior, generator: torch.Generator) -> Tensor:
    """Return pictures (examples, 3, height, width) shifted and scaled a little, at random.

    What would come in from outside mirrors what is inside.
    """
    if not prior.jitter and not prior.scale:
        return pictures
    height, width = pictures.shape[-2:]
    drawn = 2 * torch.rand(3, generator=generator) - 1
    zoom = float(1 + prior.scale * drawn[0])
    down, along = (float(prior.jitter * d) for d in drawn[1:].round(decimals=3))
    moved = torch.tensor([[[zoom, 0, 2 * along / width], [0, zoom, 2 * down / height]]])
    grid = F.affine_grid(moved.to(pictures), [len(pictures), 3, height, width], False)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def total_variation(picture: Tensor) -> Tensor:
    """Return the mean absolute difference between neighbours in (3, height, width)."""
    down = (picture[:, 1:] - picture[:, :-1]).abs().mean() if picture.shape[1] > 1 else 0
    along = (picture[:, :, 1:] - picture[:, :, :-1]).abs().mean() if picture.shape[2] > 1 else 0
    return torch.as_tensor(down + along)

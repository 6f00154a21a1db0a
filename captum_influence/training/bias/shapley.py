"""Shapley values of an image's pixels or patches, by Captum, to lay beside influence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import (  # type: ignore[import-untyped,unused-ignore]
    GradientShap,
    ShapleyValueSampling,
)
from torch import Tensor
from torch.nn import Module

from captum_influence.network.recording import quiet

__all__ = ["GradientShapley", "SampledShapley", "Shapley"]


class Shapley(ABC):
    """Maps of Shapley values; the game's players are pixels or patches, its value a class score."""

    def maps(self, model: Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return one map per image, summed over channels, (batch, height, width).

        Args:
            model: returns class scores (batch, classes).
            images: (batch, channels, height, width), as the model takes them.
            targets: (batch,) classes.

        Raises:
            ValueError: if the inputs are no images.
        """
        if images.ndim != 4:
            raise ValueError(
                "expected images (batch, channels, height, width) for Shapley maps, got shape "
                f"{tuple(images.shape)}; pass shapley=None for other data"
            )
        with quiet(model), _seeded(self._seed()):
            return self.values(model, images.detach(), targets).sum(1).detach()

    @abstractmethod
    def values(self, model: Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return the values, shaped like the images."""

    @abstractmethod
    def _seed(self) -> int:
        """Return the seed of Captum's draws; the global generators are put back afterwards."""


@dataclass(frozen=True)
class GradientShapley(Shapley):
    """Expected gradients between a baseline of zeros and the image (Captum's GradientShap).

    Attributes:
        samples: noisy copies per image.
        noise: standard deviation of the noise.
        seed: of the draws.
    """

    samples: int = 20
    noise: float = 0.05
    seed: int = 0

    def values(self, model: Module, images: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = GradientShap(model).attribute(
            images.clone().requires_grad_(True),
            torch.zeros_like(images),
            n_samples=self.samples,
            stdevs=self.noise,
            target=targets,
        )
        return found

    def _seed(self) -> int:
        return self.seed


@dataclass(frozen=True)
class SampledShapley(Shapley):
    """Permutation sampling over square patches (Captum's ShapleyValueSampling).

    Each patch's value is spread evenly over its pixels and channels.

    Attributes:
        patch: side of a patch in pixels.
        samples: permutations.
        seed: of the draws.
    """

    patch: int = 8
    samples: int = 25
    seed: int = 0

    def values(self, model: Module, images: Tensor, targets: Tensor) -> Tensor:
        height, width = images.shape[2:]
        columns = -(-width // self.patch)
        rows = torch.arange(height, device=images.device) // self.patch
        players = rows.unsqueeze(1) * columns + torch.arange(width).to(rows) // self.patch
        found: Tensor = ShapleyValueSampling(model).attribute(
            images,
            torch.zeros_like(images),
            target=targets,
            # Captum views the mask as one row of numbers, which an expanded one isn't.
            feature_mask=players.expand(1, images.shape[1], -1, -1).contiguous(),
            n_samples=self.samples,
        )
        sizes = players.flatten().bincount() * images.shape[1]
        return found / sizes[players].to(found)

    def _seed(self) -> int:
        return self.seed


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, which Captum draws from (torch's is forked by the caller)."""
    state = np.random.get_state()  # noqa: NPY002  (the legacy generator is what Captum draws from)
    try:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002

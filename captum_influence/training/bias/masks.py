"""Images with masks of their objects, as disturbances take them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Scenes"]


@dataclass(frozen=True, eq=False)
class Scenes:
    """A checked batch of images, what belongs to it, and a generator for draws.

    Attributes:
        images: (batch, channels, height, width), values in [0, 1].
        masks: (batch, 1, height, width), 1 on the object, or None.
        others: images to take properties from, shaped like ``images``, or None.
        generator: of the draws.
    """

    images: Tensor
    masks: Tensor | None
    others: Tensor | None
    generator: torch.Generator

    @staticmethod
    def ensure(images: Tensor, masks: Tensor | None, others: Tensor | None, seed: int) -> Scenes:
        """Check everything and seed the generator.

        Raises:
            ValueError: if a shape, type or range is wrong.
        """
        _check_images("images", images)
        if others is not None:
            _check_images("others", others)
            _check_like(others, images)
        checked = None if masks is None else _checked_masks(masks, images)
        return Scenes(images, checked, others, torch.Generator().manual_seed(seed))

    def donors(self) -> Tensor:
        """Return for each image another one: from ``others``, or dealt round a circle of the batch.

        Raises:
            ValueError: if there is no other image.
        """
        if self.others is not None:
            return self.others.to(self.images)
        if len(self.images) < 2:
            raise ValueError(
                "expected others= for a batch of one image, got None; pass images to take from, "
                "or a batch of at least two"
            )
        circle = torch.randperm(len(self.images), generator=self.generator)
        source = torch.empty_like(circle)
        source[circle] = circle.roll(1)
        return self.images[source.to(self.images.device)]


def _check_images(name: str, images: object) -> None:
    if not isinstance(images, Tensor):
        raise ValueError(
            f"expected {name} to be a tensor (batch, channels, height, width), got "
            f"{type(images).__name__}; stack the images"
        )
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"expected {name} to be float, (batch, channels, height, width), got {images.dtype} of "
            f"shape {tuple(images.shape)}; add a batch dimension, or divide integers by 255"
        )
    if not bool(((images >= 0) & (images <= 1)).all()):
        raise ValueError(
            f"expected {name} with values in [0, 1], got values outside (or NaN); undo the "
            "normalisation before disturbing and repeat it afterwards"
        )


def _check_like(others: Tensor, images: Tensor) -> None:
    if others.shape != images.shape:
        raise ValueError(
            f"expected others of shape {tuple(images.shape)}, got {tuple(others.shape)}; give one "
            "other image per image, of its size"
        )


def _checked_masks(masks: Tensor, images: Tensor) -> Tensor:
    wanted = (len(images), 1, *images.shape[2:])
    found = masks.unsqueeze(1) if masks.ndim == 3 else masks
    if tuple(found.shape) != wanted:
        raise ValueError(
            f"expected masks of shape {wanted} (the 1 may be missing), got {tuple(masks.shape)}; "
            "give one mask per image"
        )
    found = found.to(images)
    if not bool(((found >= 0) & (found <= 1)).all()):
        raise ValueError(
            "expected masks with values in [0, 1], got values outside; divide by the maximum"
        )
    return found

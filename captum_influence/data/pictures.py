"""Pictures, turned into what a network takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from captum_influence.data.picture_files import pillow

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "Preparation",
    "Preprocessing",
    "Transform",
]

Interpolation = Literal[
    "nearest", "nearest-exact", "box", "bilinear", "hamming", "bicubic", "lanczos"
]

_BRIGHTNESS = (0.299, 0.587, 0.114)  # of red, green and blue
_MOST_PIXELS = 2**28  # of a picture that is resized, before its centre is cropped

_RESAMPLING: dict[Interpolation, str] = {
    "nearest": "NEAREST",
    "nearest-exact": "NEAREST",  # Pillow has one nearest, and it is the exact one
    "box": "BOX",
    "bilinear": "BILINEAR",
    "hamming": "HAMMING",
    "bicubic": "BICUBIC",
    "lanczos": "LANCZOS",
}


class Preparation(ABC):
    """How a picture becomes what a network takes, and what of it the network gets to see."""

    @abstractmethod
    def __call__(self, image: Image) -> Tensor:
        """Return the network's input, (1, channels, height, width) float32."""

    @abstractmethod
    def picture(self, image: Image) -> Tensor:
        """Return what to show: RGB, (3, height, width) in [0, 1], in the input's geometry."""

    @property
    def channels(self) -> int:
        """How many channels the input has."""
        return 3

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the inputs that pictures in the input's geometry, (..., 3, h, w), become.

        Raises:
            ValueError: if only whole images can be prepared.
        """
        raise ValueError(
            "expected a normalisation that is known by its mean and std, got transforms that take "
            "whole images only: give --size, --mean and --std instead"
        )

    def decode(self, inputs: Tensor) -> Tensor:
        """Return the pictures (..., 3, h, w) that inputs show: what :meth:`encode` took."""
        low, high = inputs.amin((-3, -2, -1), True), inputs.amax((-3, -2, -1), True)
        return (inputs - low) / (high - low).clamp_min(1e-12)


@dataclass(frozen=True)
class Preprocessing(Preparation):
    """Resize, crop, scale, normalise: ``(x · value_range/255 - mean) / std``, channel by channel.

    Args:
        size: height and width of the input; one int for a square.
        resize: length of the shorter side before the centre is cropped; None: as small as covers
            ``size``.
        fit: ``"crop"`` keeps the proportions and crops the centre; ``"squash"`` does neither.
        mean: subtracted, one number per channel in the network's own order, in units of
            ``value_range``; one number stands for all three.
        std: divided by, as ``mean``.
        channel_order: ``"rgb"``, ``"bgr"`` for networks that came from Caffe or OpenCV, or
            ``"gray"`` for those of one channel, its brightness as Pillow weighs it (ITU-R BT.601).
        value_range: largest value of a pixel before ``mean`` is subtracted: 1 or 255.
        interpolation: Pillow's resampling filter.

    Raises:
        ValueError: if a field is out of range.

    Example:
        >>> caffe = Preprocessing(
        ...     227, 256, mean=(104, 117, 123), channel_order="bgr", value_range=255
        ... )
    """

    size: int | tuple[int, int] = 224
    resize: int | None = None
    fit: Literal["crop", "squash"] = "crop"
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    channel_order: Literal["rgb", "bgr", "gray"] = "rgb"
    value_range: Literal[1, 255] = 1
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        sides = self._sides
        if len(sides) != 2 or min(sides) < 1:
            raise ValueError(f"expected size as a positive height and width, got {self.size!r}")
        if self.resize is not None and (self.fit == "squash" or self.resize < max(sides)):
            raise ValueError(
                f"expected resize, the shorter side before cropping, to be at least {max(sides)} "
                f'with fit="crop", and None with fit="squash"; got {self.resize} with {self.fit!r}'
            )
        mean, std = self._each(self.mean), self._each(self.std)
        if not len(mean) == len(std) == self.channels:
            wanted = "one number or three" if self.channels == 3 else "one number, of one channel"
            raise ValueError(f"expected mean and std as {wanted}, got {len(mean)} and {len(std)}")
        if min(std) <= 0:
            raise ValueError(f"expected positive numbers as std, got {self.std!r}")
        _check_word("fit", self.fit, ("crop", "squash"))
        _check_word("channel_order", self.channel_order, ("rgb", "bgr", "gray"))
        _check_word("value_range", self.value_range, (1, 255))
        _check_word("interpolation", self.interpolation, tuple(_RESAMPLING))

    @staticmethod
    def from_transforms(transforms: Callable[[Any], Any]) -> Preparation:
        """Return the preprocessing that a callable performs; torchvision's preset is read off.

        Args:
            transforms: ``weights.transforms()`` of torchvision, or any function of a PIL image that
                returns a tensor (3, height, width), possibly with a leading 1.
        """
        fields = ("crop_size", "resize_size", "mean", "std", "interpolation")
        if type(transforms).__name__ != "ImageClassification" or not all(
            hasattr(transforms, name) for name in fields
        ):
            return Transform(transforms)
        crop, resize, mean, std, interpolation = (getattr(transforms, name) for name in fields)
        return Preprocessing(
            _square(crop),
            resize=resize[0] if isinstance(resize, Sequence) else resize,
            mean=tuple(mean),
            std=tuple(std),
            interpolation=interpolation.value,
        )

    def __call__(self, image: Image) -> Tensor:
        pixels = _pixels(self._fitted(image))  # (3, height, width)
        return self._normalised(pixels * (self.value_range / 255)).unsqueeze(0)

    def picture(self, image: Image) -> Tensor:
        if self.channel_order == "gray":
            return self.decode(self(image)[0])
        return _pixels(self._fitted(image)) / 255

    def encode(self, pictures: Tensor) -> Tensor:
        return self._normalised(pictures * self.value_range)

    def decode(self, inputs: Tensor) -> Tensor:
        mean, std = (_column(self._each(x)).to(inputs) for x in (self.mean, self.std))
        found = ((inputs * std + mean) / self.value_range).clamp(0, 1)
        if self.channel_order == "gray":
            return found.expand(*found.shape[:-3], 3, *found.shape[-2:])
        return found.flip(-3) if self.channel_order == "bgr" else found

    def _normalised(self, pixels: Tensor) -> Tensor:
        if self.channel_order == "gray":
            pixels = (pixels * _column(_BRIGHTNESS).to(pixels)).sum(-3, keepdim=True)
        elif self.channel_order == "bgr":
            pixels = pixels.flip(-3)
        mean, std = (_column(self._each(x)).to(pixels) for x in (self.mean, self.std))
        return (pixels - mean) / std

    @property
    def _sides(self) -> tuple[int, ...]:
        return (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)

    @property
    def channels(self) -> int:
        return 1 if self.channel_order == "gray" else 3

    def _each(self, value: float | tuple[float, ...]) -> tuple[float, ...]:
        return (float(value),) * self.channels if isinstance(value, (int, float)) else tuple(value)

    def _fitted(self, image: Image) -> Image:
        """Return the part of the picture that the network sees, in its size."""
        height, width = self._sides
        if self.fit == "squash":
            return self._resized(image, width, height)
        if self.resize is None:
            scale = max(width / image.width, height / image.height)
            across, down = round(image.width * scale), round(image.height * scale)
        else:  # torchvision rounds the longer side down
            shorter = min(image.size)
            across, down = (self.resize * side // shorter for side in image.size)
        if across * down > _MOST_PIXELS:
            raise ValueError(
                f"expected a picture whose sides differ less, got {image.width} × {image.height} "
                f"pixels, which would be resized to {across} × {down} before they are cropped to "
                f"{width} × {height}: cut it to size, or squash it"
            )
        left, top = round((across - width) / 2), round((down - height) / 2)
        resized = self._resized(image, across, down)
        return resized.crop((left, top, left + width, top + height))

    def _resized(self, image: Image, width: int, height: int) -> Image:
        if image.size == (width, height):
            return image
        return image.resize((width, height), pillow().Resampling[_RESAMPLING[self.interpolation]])


@dataclass(frozen=True)
class Transform(Preparation):
    """Any function of a PIL image that returns the input, (3, height, width) or (1, 3, ...).

    What to show is that very tensor with the normalisation undone, if the function ends in one
    that has a ``mean`` and a ``std``; else with its smallest value black and its largest white.

    Raises:
        ValueError: when it is called, if the function returns anything else.
    """

    function: Callable[[Any], Any]

    def __call__(self, image: Image) -> Tensor:
        found = self.function(image)
        if isinstance(found, Tensor) and found.ndim in (3, 4) and found.shape[-3] == 3:
            found = found if found.ndim == 4 else found.unsqueeze(0)
            if len(found) == 1:
                return found.float()
        shape = f" of shape {tuple(found.shape)}" if isinstance(found, Tensor) else ""
        raise ValueError(
            "expected transforms that turn a picture into a tensor (3, height, width), got "
            f"{type(found).__name__}{shape}; end them with ToTensor() or the like"
        )

    def picture(self, image: Image) -> Tensor:
        return self.decode(self(image)[0])

    def encode(self, pictures: Tensor) -> Tensor:
        if self._scale is None:
            return super().encode(pictures)
        mean, std = (x.to(pictures) for x in self._scale)
        return (pictures - mean) / std

    def decode(self, inputs: Tensor) -> Tensor:
        if self._scale is None:
            return super().decode(inputs)
        mean, std = (x.to(inputs) for x in self._scale)
        return (inputs * std + mean).clamp(0, 1)

    @property
    def _scale(self) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation of a normalisation at the end, if there is one."""
        last = (getattr(self.function, "transforms", None) or [self.function])[-1]
        mean, std = getattr(last, "mean", None), getattr(last, "std", None)
        return None if mean is None or std is None else (_column(mean), _column(std))


def _pixels(image: Image) -> Tensor:
    """Return an image as (3, height, width) float32 in 0-255."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float()


def _square(size: int | Sequence[int]) -> int | tuple[int, int]:
    sides = (size,) if isinstance(size, int) else tuple(size)
    return sides[0] if len(set(sides)) == 1 else (sides[0], sides[1])


def _column(values: Sequence[float] | Tensor | float) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def _check_word(name: str, value: object, known: Sequence[object]) -> None:
    if value not in known:
        raise ValueError(f"expected {name} to be one of {list(known)}, got {value!r}")

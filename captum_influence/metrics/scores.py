"""Scores of maps as values: what a comparison is given to score its methods by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from captum_influence.metrics.localization import localize
from captum_influence.metrics.pixel_flipping import flip_pixels

__all__ = ["FlippingScore", "LocalizationScore"]


@dataclass(frozen=True)
class FlippingScore:
    """Pixel flipping as one number per map, in units of the score: higher is better, noise gets 0.

    The area between the curves of the least and of the most relevant pixels first; see
    :meth:`PixelFlipping.abpc` for its formula, source and pitfalls.

    Attributes:
        replace: what takes the place of pixels: ``"mean"``, ``"blur"`` or a number.
        steps: how many steps.
        patch: side of the squares that go as one; None: a sixteenth of the picture.
        internal_batch_size: pictures per pass.
        seed: of the order among equal entries.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> model, image = load_demo_network(), demo_scene().image[None]
        >>> brightness = image.sum(1, keepdim=True)
        >>> FlippingScore("blur")(model, image, model(image).argmax(1), brightness).shape
        torch.Size([1])
    """

    replace: str | float = "blur"
    steps: int = 16
    patch: int | None = None
    internal_batch_size: int = 64
    seed: int = 0

    def __call__(self, model: nn.Module, inputs: Tensor, target: Tensor, maps: Tensor) -> Tensor:
        """Return the area between the curves, (examples,)."""
        patch = self.patch or max(1, min(inputs.shape[-2:]) // 16)
        flipped = flip_pixels(
            model,
            inputs,
            maps,
            target,
            replace=self.replace,
            steps=self.steps,
            patch=patch,
            draws=1,
            internal_batch_size=self.internal_batch_size,
            seed=self.seed,
        )
        return flipped.abpc(str(self.replace))


@dataclass(frozen=True, eq=False)
class LocalizationScore:
    """How far a map lies on a mask, in [0, 1]: higher is better, noise gets the mask's area.

    See :func:`localize` for formulas, sources and pitfalls; NaN for maps without a positive entry.

    Attributes:
        masks: bool, (examples, height, width).
        kind: ``"mass"`` of the positive entries, ``"rank"`` or ``"pointing"``.

    Raises:
        ValueError: for another kind.
    """

    masks: Tensor
    kind: Literal["mass", "rank", "pointing"] = "mass"

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"expected kind to be one of {', '.join(_KINDS)}, got {self.kind!r}")

    def __call__(self, model: nn.Module, inputs: Tensor, target: Tensor, maps: Tensor) -> Tensor:
        """Return the share, (examples,)."""
        found: Tensor = getattr(localize(maps.cpu(), self.masks.cpu()), self.kind)
        return found


_KINDS = ("mass", "rank", "pointing")

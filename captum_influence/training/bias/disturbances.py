"""Disturbances of texture, style and background: images in, images out, nothing learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from captum_influence.network.modes import with_graph
from captum_influence.training.bias.masks import Scenes
from captum_influence.visualization.blur import gaussian_blur

__all__ = [
    "DISTURBANCES",
    "AmplitudeSwap",
    "Background",
    "BlurredBackground",
    "ChannelStatistics",
    "Disturbance",
    "FourierStyle",
    "GramTransfer",
    "MeanBackground",
    "NoiseBackground",
    "OtherBackground",
    "PatchShuffle",
    "WhiteBackground",
    "all_disturbances",
    "disturbances_named",
]


class Disturbance(ABC):
    """Changes one property of images; ``kind`` is ``"texture"``, ``"style"`` or ``"background"``.

    Call it with images (batch, channels, height, width) with values in [0, 1] and, optionally,
    masks (batch, height, width) or (batch, 1, height, width) with values in [0, 1], 1 on the
    object. The result has the images' shape, dtype and range. Texture and style change the object
    where masks are given, else the whole image; a background needs masks. Draws come from a
    generator of its own, so equal calls give equal results.

    Example:
        >>> images = torch.rand(4, 3, 16, 16)
        >>> PatchShuffle(size=4)(images).shape
        torch.Size([4, 3, 16, 16])
    """

    kind: str
    seed: int

    def __call__(
        self, images: Tensor, masks: Tensor | None = None, others: Tensor | None = None
    ) -> Tensor:
        """Disturb a batch.

        Args:
            images: (batch, channels, height, width), values in [0, 1].
            masks: 1 on the object, 0 on the background.
            others: the images that texture, style or background are taken from, shaped like
                ``images``; None deals the batch's own images round.

        Raises:
            ValueError: if a shape or range is wrong, or there is no other image.
        """
        scenes = Scenes.ensure(images, masks, others, self.seed)
        changed = self.changed(scenes).clamp(0, 1).to(images)
        return torch.lerp(images, changed, self.where(scenes))

    @abstractmethod
    def changed(self, scenes: Scenes) -> Tensor:
        """Return the images changed everywhere; :meth:`where` says how much of it is taken."""

    def where(self, scenes: Scenes) -> Tensor:
        """Return how much of the change each pixel takes, (batch, 1, height, width)."""
        return torch.ones_like(scenes.images[:, :1]) if scenes.masks is None else scenes.masks


@dataclass(frozen=True)
class PatchShuffle(Disturbance):
    """Texture: square patches change places; local texture stays, its order is lost.

    Attributes:
        size: side of a patch in pixels; a margin that isn't a whole patch stays.
        seed: of the permutations, one per image.
    """

    size: int = 8
    seed: int = 0
    kind: str = "texture"

    def changed(self, scenes: Scenes) -> Tensor:
        n, _, height, width = scenes.images.shape
        rows, columns = height // self.size, width // self.size
        if self.size < 1 or rows * columns < 2:
            raise ValueError(
                f"expected patches that fit into the image at least twice, got size {self.size} "
                f"for {height}x{width} pixels; choose a smaller size"
            )
        inner = scenes.images[:, :, : rows * self.size, : columns * self.size]
        patches = F.unfold(inner, self.size, stride=self.size)  # (batch, pixels, patches)
        order = torch.rand(n, 1, rows * columns, generator=scenes.generator).argsort(2)
        shuffled = patches.gather(2, order.to(scenes.images.device).expand_as(patches))
        out = scenes.images.clone()
        out[:, :, : inner.shape[2], : inner.shape[3]] = F.fold(
            shuffled, inner.shape[2:], self.size, stride=self.size
        )
        return out


@dataclass(frozen=True)
class AmplitudeSwap(Disturbance):
    """Texture: another image's amplitudes above a spatial frequency, under the own phases.

    Attributes:
        above: cycles per pixel from which amplitudes are taken over (0.5 is the finest).
        seed: of the choice of the other image.
    """

    above: float = 0.1
    seed: int = 0
    kind: str = "texture"

    def changed(self, scenes: Scenes) -> Tensor:
        donors = scenes.donors()
        return _with_amplitudes(scenes.images, donors, _frequencies(scenes.images) >= self.above)


@dataclass(frozen=True)
class FourierStyle(Disturbance):
    """Style: another image's amplitudes below a spatial frequency (Yang & Soatto 2020).

    Attributes:
        below: cycles per pixel up to which amplitudes are taken over.
        seed: of the choice of the other image.
    """

    below: float = 0.06
    seed: int = 0
    kind: str = "style"

    def changed(self, scenes: Scenes) -> Tensor:
        donors = scenes.donors()
        return _with_amplitudes(scenes.images, donors, _frequencies(scenes.images) <= self.below)


@dataclass(frozen=True)
class ChannelStatistics(Disturbance):
    """Style: mean and standard deviation of each channel from another image (Huang et al. 2017).

    Attributes:
        seed: of the choice of the other image.
    """

    seed: int = 0
    kind: str = "style"

    def changed(self, scenes: Scenes) -> Tensor:
        donors = scenes.donors()
        own = scenes.images.std((2, 3), keepdim=True).clamp(min=1e-4)
        scale = donors.std((2, 3), keepdim=True) / own
        centred = scenes.images - scenes.images.mean((2, 3), keepdim=True)
        return centred * scale + donors.mean((2, 3), keepdim=True)


@dataclass(frozen=True)
class GramTransfer(Disturbance):
    """Texture: descends to another image's Gram matrices of random filters' responses.

    Filters of several sizes with random weights are enough for texture (Ustyuzhaninov et al.
    2017); no trained network is needed. The descent starts at the image, so its layout stays.

    Attributes:
        steps: of Adam.
        filters: per filter size.
        content: weight of staying near the image.
        seed: of the filters and of the choice of the other image.
    """

    steps: int = 60
    filters: int = 32
    content: float = 0.05
    seed: int = 0
    kind: str = "texture"

    def changed(self, scenes: Scenes) -> Tensor:
        donors = scenes.donors()
        banks = [self._bank(size, scenes) for size in (3, 7, 11)]
        with with_graph():
            start = scenes.images.detach().clone()
            goals = [_gram(donors.detach().clone(), bank) for bank in banks]
            pixels = start.clone().requires_grad_(True)
            optimizer = torch.optim.Adam([pixels], lr=0.03)
            for _ in range(self.steps):
                misses = [_miss(_gram(pixels, b), g) for b, g in zip(banks, goals, strict=True)]
                stay = (pixels - start).square().mean((1, 2, 3)).sum()
                loss = torch.stack(misses).sum() + self.content * stay
                optimizer.zero_grad()
                pixels.grad = torch.autograd.grad(loss, pixels)[0]
                optimizer.step()
        return pixels.detach()

    def _bank(self, size: int, scenes: Scenes) -> Tensor:
        shape = (self.filters, scenes.images.shape[1], size, size)
        bank = torch.randn(shape, generator=scenes.generator).to(scenes.images)
        bank = bank - bank.mean((2, 3), keepdim=True)
        norm: Tensor = bank.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
        return bank / norm


class Background(Disturbance):
    """Replaces what lies outside the masks; the object stays as it is."""

    def where(self, scenes: Scenes) -> Tensor:
        if scenes.masks is None:
            raise ValueError(
                f"expected masks for {type(self).__name__}, got None; pass masks (batch, height, "
                "width) that are 1 on the object"
            )
        return 1 - scenes.masks


@dataclass(frozen=True)
class WhiteBackground(Background):
    """Background: white."""

    seed: int = 0
    kind: str = "background"

    def changed(self, scenes: Scenes) -> Tensor:
        return torch.ones_like(scenes.images)


@dataclass(frozen=True)
class MeanBackground(Background):
    """Background: the mean colour of the image's own background."""

    seed: int = 0
    kind: str = "background"

    def changed(self, scenes: Scenes) -> Tensor:
        weight = self.where(scenes)
        total = (scenes.images * weight).sum((2, 3), keepdim=True)
        mean = total / weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
        return mean.expand_as(scenes.images)


@dataclass(frozen=True)
class BlurredBackground(Background):
    """Background: blurred, without the object bleeding into it.

    Attributes:
        sigma: of the Gaussian, in pixels.
        seed: unused; every disturbance has one.
    """

    sigma: float = 4.0
    seed: int = 0
    kind: str = "background"

    def changed(self, scenes: Scenes) -> Tensor:
        weight = self.where(scenes)
        blurred = gaussian_blur(scenes.images * weight, self.sigma, "zero")
        return blurred / gaussian_blur(weight, self.sigma, "zero").clamp(min=1e-6)


@dataclass(frozen=True)
class NoiseBackground(Background):
    """Background: uniform noise.

    Attributes:
        seed: of the noise.
    """

    seed: int = 0
    kind: str = "background"

    def changed(self, scenes: Scenes) -> Tensor:
        return torch.rand(scenes.images.shape, generator=scenes.generator).to(scenes.images)


@dataclass(frozen=True)
class OtherBackground(Background):
    """Background: another image.

    Attributes:
        seed: of the choice of the other image.
    """

    seed: int = 0
    kind: str = "background"

    def changed(self, scenes: Scenes) -> Tensor:
        return scenes.donors()


def all_disturbances(seed: int = 0) -> dict[str, Disturbance]:
    """Return one of each, by name, in the order texture, style, background."""
    return {
        "patch shuffle": PatchShuffle(seed=seed),
        "amplitude swap": AmplitudeSwap(seed=seed),
        "Gram transfer": GramTransfer(seed=seed),
        "channel statistics": ChannelStatistics(seed=seed),
        "Fourier style": FourierStyle(seed=seed),
        "white": WhiteBackground(seed=seed),
        "mean": MeanBackground(seed=seed),
        "blur": BlurredBackground(seed=seed),
        "noise": NoiseBackground(seed=seed),
        "another image": OtherBackground(seed=seed),
    }


def _frequencies(images: Tensor) -> Tensor:
    """Return distances from zero frequency in cycles per pixel, (height, width // 2 + 1)."""
    vertical = torch.fft.fftfreq(images.shape[2], device=images.device).unsqueeze(1)
    horizontal = torch.fft.rfftfreq(images.shape[3], device=images.device)
    return torch.hypot(vertical, horizontal.expand(len(vertical), -1))


def _with_amplitudes(images: Tensor, donors: Tensor, band: Tensor) -> Tensor:
    own, other = torch.fft.rfft2(images.float()), torch.fft.rfft2(donors.float())
    amplitude = torch.where(band, other.abs(), own.abs())
    mixed: Tensor = torch.fft.irfft2(torch.polar(amplitude, own.angle()), s=images.shape[2:])
    return mixed


def _gram(images: Tensor, bank: Tensor) -> Tensor:
    """Return mean products of rectified filter responses, (batch, filters, filters)."""
    padding = bank.shape[2] // 2
    responses = F.conv2d(F.pad(images, [padding] * 4, mode="replicate"), bank).relu().flatten(2)
    return responses @ responses.mT / responses.shape[2]


def _miss(gram: Tensor, goal: Tensor) -> Tensor:
    relative = (gram - goal).square().sum((1, 2)) / goal.square().sum((1, 2)).clamp(min=1e-8)
    total: Tensor = relative.sum()
    return total


DISTURBANCES: Mapping[str, Callable[[int], Disturbance]] = {
    "texture-patches": lambda seed: PatchShuffle(seed=seed),
    "texture-amplitude": lambda seed: AmplitudeSwap(seed=seed),
    "texture-gram": lambda seed: GramTransfer(seed=seed),
    "style-channels": lambda seed: ChannelStatistics(seed=seed),
    "style-fourier": lambda seed: FourierStyle(seed=seed),
    "background-white": lambda seed: WhiteBackground(seed=seed),
    "background-mean": lambda seed: MeanBackground(seed=seed),
    "background-blur": lambda seed: BlurredBackground(seed=seed),
    "background-noise": lambda seed: NoiseBackground(seed=seed),
    "background-other": lambda seed: OtherBackground(seed=seed),
}


def disturbances_named(names: Sequence[str], seed: int = 0) -> dict[str, Disturbance]:
    """Return disturbances by name, those of :func:`all_disturbances`.

    Raises:
        ValueError: if there is none of a name.
    """
    unknown = [name for name in names if name not in DISTURBANCES]
    if unknown:
        raise ValueError(
            f"expected a disturbance, one of {', '.join(DISTURBANCES)}, got {unknown[0]!r}"
        )
    return {name: DISTURBANCES[name](seed) for name in names}

"""Contracts that hold for every disturbance, and what each one must keep or change."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from captum_influence.training.bias import disturbances as module
from captum_influence.training.bias.disturbances import (
    DISTURBANCES,
    AmplitudeSwap,
    Background,
    BlurredBackground,
    ChannelStatistics,
    Disturbance,
    FourierStyle,
    GramTransfer,
    MeanBackground,
    NoiseBackground,
    OtherBackground,
    PatchShuffle,
    WhiteBackground,
    all_disturbances,
    disturbances_named,
)

EXAMPLES: dict[str, Disturbance] = {
    "patch shuffle": PatchShuffle(size=4),
    "amplitude swap": AmplitudeSwap(),
    "gram": GramTransfer(steps=5, filters=8),
    "channel statistics": ChannelStatistics(),
    "fourier": FourierStyle(below=0.2),
    "white": WhiteBackground(),
    "mean": MeanBackground(),
    "blur": BlurredBackground(sigma=2.0),
    "noise": NoiseBackground(),
    "other": OtherBackground(),
}


def _images(channels: int = 3, size: tuple[int, int] = (16, 18)) -> Tensor:
    return torch.rand(4, channels, *size, generator=torch.Generator().manual_seed(123))


def _masks(images: Tensor) -> Tensor:
    masks = torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
    masks[:, 4:12, 5:11] = True
    return masks


def test_every_disturbance_is_in_the_table() -> None:
    public = [getattr(module, name) for name in module.__all__]
    classes = {c for c in public if isinstance(c, type)} - {Disturbance, Background}
    assert {type(d) for d in EXAMPLES.values()} == classes
    assert {type(d) for d in all_disturbances().values()} == classes


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_contract(name: str, channels: int, dtype: torch.dtype) -> None:
    disturbance, images = EXAMPLES[name], _images(channels).to(dtype)
    masks, copy, state = _masks(images), images.clone(), torch.get_rng_state()
    out = disturbance(images, masks)
    assert out.shape == images.shape
    assert out.dtype == dtype
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(images, copy)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(out, disturbance(images, masks))
    assert torch.equal(out, disturbance(images, masks[:, None].to(dtype)))
    kept = masks if disturbance.kind == "background" else ~masks
    for image, changed, keep in zip(images, out, kept, strict=True):
        assert torch.equal(image[:, keep], changed[:, keep])
        assert not torch.equal(image[:, ~keep], changed[:, ~keep])


@pytest.mark.parametrize("name", ["patch shuffle", "amplitude swap", "gram", "noise", "other"])
def test_another_seed_gives_another_result(name: str) -> None:
    images = _images()
    one, masks = EXAMPLES[name], _masks(images)
    others = [type(one)(**{**vars(one), "seed": seed})(images, masks) for seed in range(5)]
    assert any(not torch.equal(one(images, masks), other) for other in others)


def test_patch_shuffle_keeps_the_pixels() -> None:
    images = _images()
    out = PatchShuffle(size=4)(images)
    inner = [x[:, :, :16, :16].flatten(2).sort().values for x in (images, out)]
    assert torch.equal(*inner)
    assert torch.equal(images[..., 16:], out[..., 16:])
    patch = images[0, :, :4, :4]
    places = out[0, :, :16, :16].unfold(1, 4, 4).unfold(2, 4, 4)
    assert any(torch.equal(patch, places[:, i, j]) for i in range(4) for j in range(4))


def test_channel_statistics_are_the_others() -> None:
    images, others = 0.4 + 0.2 * _images(), 0.3 + 0.3 * _images().flip(0)
    out = ChannelStatistics()(images, others=others)
    torch.testing.assert_close(out.mean((2, 3)), others.mean((2, 3)))
    torch.testing.assert_close(out.std((2, 3)), others.std((2, 3)))


@pytest.mark.parametrize("size", [(16, 18), (15, 17)])
def test_fourier_exchanges_only_its_band(size: tuple[int, int]) -> None:
    images, others = (0.45 + 0.1 * x for x in (_images(size=size), _images(size=size).flip(0)))
    frequency = torch.hypot(torch.fft.fftfreq(size[0])[:, None], torch.fft.fftfreq(size[1])[None])
    for disturbance, band in (
        (FourierStyle(below=0.2), frequency <= 0.2),
        (AmplitudeSwap(above=0.3), frequency >= 0.3),
    ):
        out = disturbance(images, others=others)
        found = torch.fft.fft2(out).abs()
        wanted = torch.where(band, torch.fft.fft2(others).abs(), torch.fft.fft2(images).abs())
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_gram_transfer_comes_nearer_to_the_texture_and_keeps_the_layout() -> None:
    stripes = (torch.arange(24) % 4 < 2).float().expand(1, 1, 24, 24)
    image = torch.zeros(1, 1, 24, 24)
    image[..., 6:18, 6:18] = 0.8
    out = GramTransfer(steps=60, filters=16)(image, others=stripes)
    bank = torch.randn(8, 1, 5, 5, generator=torch.Generator().manual_seed(9))
    bank = bank - bank.mean((2, 3), keepdim=True)  # other filters than the descent has seen
    grams = [module._gram(x, bank) for x in (image, out, stripes)]
    assert (grams[1] - grams[2]).norm() < 0.8 * (grams[0] - grams[2]).norm()
    assert torch.corrcoef(torch.stack([image.flatten(), out.flatten()]))[0, 1] > 0.15


def test_backgrounds() -> None:
    images = _images()
    masks = _masks(images)
    outside = ~masks[0]
    assert (WhiteBackground()(images, masks)[:, :, outside] == 1).all()
    mean = MeanBackground()(images, masks)[:, :, outside]
    torch.testing.assert_close(mean, images[:, :, outside].mean(2, keepdim=True).expand_as(mean))
    others = images.flip(0)
    found = OtherBackground()(images, masks, others)
    assert torch.equal(found[:, :, outside], others[:, :, outside])
    lit = torch.where(masks[:, None], 1.0, 0.25).expand(-1, 3, -1, -1)
    blurred = BlurredBackground()(lit, masks)  # the object doesn't bleed into a flat background
    torch.testing.assert_close(blurred, lit)


def test_the_other_image_is_never_the_own() -> None:
    flat = torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 1, 4, 4) / 5
    for seed in range(20):
        out = OtherBackground(seed=seed)(flat, torch.zeros(5, 4, 4))
        assert (out != flat).all()


def test_works_without_gradients_and_leaves_none() -> None:
    images = _images().requires_grad_(True)
    with torch.no_grad():
        out = GramTransfer(steps=2, filters=4)(images)
    assert images.grad is None
    assert not out.requires_grad


@pytest.mark.parametrize(
    ("images", "masks", "others", "message"),
    [
        (torch.rand(3, 8, 8), None, None, "batch dimension"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), None, None, "255"),
        (torch.randn(2, 3, 8, 8) * 9, None, None, r"\[0, 1\]"),
        (torch.rand(2, 3, 8, 8), torch.ones(2, 4, 4), None, "masks of shape"),
        (torch.rand(2, 3, 8, 8), 255 * torch.ones(2, 8, 8), None, "divide by the maximum"),
        (torch.rand(2, 3, 8, 8), None, torch.rand(1, 3, 8, 8), "others of shape"),
        (torch.rand(2, 3, 8, 8), None, None, "expected masks for OtherBackground"),
        (torch.rand(1, 3, 8, 8), torch.ones(1, 8, 8), None, "batch of one"),
        ([[1.0]], None, None, "stack the images"),
    ],
)
def test_errors(images: Tensor, masks: Tensor | None, others: Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OtherBackground()(images, masks, others)


def test_patches_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="smaller size"):
        PatchShuffle(size=16)(_images())


def test_disturbances_are_known_by_their_names() -> None:
    found = disturbances_named(["style-fourier", "background-white"], seed=3)
    assert found == {"style-fourier": FourierStyle(seed=3), "background-white": WhiteBackground(3)}
    assert {type(d) for d in disturbances_named(list(DISTURBANCES)).values()} == {
        type(d) for d in all_disturbances().values()
    }
    with pytest.raises(ValueError, match=r"expected a disturbance, one of .*, got 'fog'"):
        disturbances_named(["style-fourier", "fog"])

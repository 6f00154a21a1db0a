"""What pictures become for a network; torchvision's transforms are the truth."""

import numpy as np
import pytest
import torch

Image = pytest.importorskip("PIL.Image", reason="reading pictures takes Pillow")

from captum_influence.data.pictures import Preprocessing, Transform  # noqa: E402

RED, GREEN = (200, 30, 40), (20, 180, 60)


def halves(mode: str = "RGB", size: tuple[int, int] = (8, 4)) -> "Image.Image":
    """A picture whose left half is red and whose right half is green."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, *size))
    return image.quantize(4) if mode == "P" else image.convert(mode)


def test_caffe_preprocessing_is_bgr_minus_mean() -> None:
    caffe = Preprocessing(2, mean=(104, 117, 123), channel_order="bgr", value_range=255)
    found = caffe(Image.new("RGB", (2, 2), (10, 20, 30)))
    assert found.shape == (1, 3, 2, 2)
    assert found.dtype == torch.float32
    assert found[0, :, 0, 0].tolist() == [30 - 104, 20 - 117, 10 - 123]


def test_mean_and_std_are_in_units_of_the_value_range() -> None:
    image = Image.new("RGB", (2, 2), (255, 51, 0))
    unit = Preprocessing(2, mean=0.5, std=(0.5, 0.25, 1.0))(image)[0, :, 0, 0]
    torch.testing.assert_close(unit, torch.tensor([1.0, -1.2, -0.5]))


def test_one_channel_is_as_bright_as_pillow_says() -> None:
    gray = Preprocessing((4, 8), channel_order="gray", value_range=255)
    found = gray(halves())
    assert found.shape == (1, gray.channels, 4, 8) == (1, 1, 4, 8)
    pillows = torch.from_numpy(np.array(halves("L"))).float()  # which are whole numbers
    torch.testing.assert_close(found[0, 0], pillows, rtol=0, atol=0.51)
    shown = gray.picture(halves())
    torch.testing.assert_close(shown, (found[0] / 255).expand(3, 4, 8))


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("size", [(40, 90), (90, 40), (33, 33), (64, 32)])
def test_input_and_picture_share_their_geometry(size: tuple[int, int], fit: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8))
    for shape in (32, (20, 28)):
        prepare = Preprocessing(shape, fit=fit)
        picture = prepare.picture(noise)
        assert picture.shape == (3, *((shape, shape) if isinstance(shape, int) else shape))
        torch.testing.assert_close(prepare(noise)[0], picture)  # mean 0, std 1, range 1


def test_crop_takes_the_centre_and_squash_takes_all() -> None:
    image = Image.new("RGB", (60, 20), (0, 0, 0))
    image.paste((255, 255, 255), (20, 0, 40, 20))
    assert Preprocessing(20).picture(image).min() == 1
    assert Preprocessing(20, fit="squash").picture(image).mean() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 0}, "positive height and width"),
        ({"size": 227, "resize": 200}, "at least 227"),
        ({"resize": 256, "fit": "squash"}, "None with"),
        ({"mean": (1.0, 2.0)}, "one number or three"),
        ({"std": (1.0, 0.0, 1.0)}, "positive numbers as std"),
        ({"fit": "pad"}, "one of"),
        ({"channel_order": "grb"}, r"\['rgb', 'bgr', 'gray'\]"),
        (
            {"channel_order": "gray", "std": (1.0, 1.0, 1.0)},
            "one number, of one channel, got 1 and 3",
        ),
        ({"value_range": 2}, r"\[1, 255\]"),
        ({"interpolation": "cubic"}, "bicubic"),
    ],
)
def test_a_field_out_of_range_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**fields)


@pytest.mark.parametrize("size", [(500, 375), (301, 417), (224, 224), (1000, 231)])
def test_torchvisions_preset_is_read_off_exactly(size: tuple[int, int]) -> None:
    presets = pytest.importorskip("torchvision.transforms._presets", exc_type=ImportError)
    mode = pytest.importorskip("torchvision.transforms").InterpolationMode.BICUBIC
    preset = presets.ImageClassification(crop_size=224, resize_size=232, interpolation=mode)
    noise = Image.effect_noise(size, 90).convert("RGB")
    ours = Preprocessing.from_transforms(preset)
    assert isinstance(ours, Preprocessing)
    torch.testing.assert_close(ours(noise)[0], preset(noise), rtol=0, atol=1e-6)


class _Normalize:
    mean, std = (0.2, 0.3, 0.4), (0.5, 0.5, 0.25)


class _Compose:
    """Stands for torchvision's Compose: it is called, and lists what it does."""

    transforms = ("ToTensor", _Normalize())

    def __call__(self, image: "Image.Image") -> torch.Tensor:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (_Normalize.mean, _Normalize.std))
        return (pixels - mean) / std


def test_any_other_callable_is_wrapped_and_its_normalisation_undone() -> None:
    prepare = Preprocessing.from_transforms(_Compose())
    assert isinstance(prepare, Transform)
    assert prepare(halves()).shape == (1, 3, 4, 8)
    expected = torch.from_numpy(np.array(halves())).permute(2, 0, 1) / 255
    torch.testing.assert_close(prepare.picture(halves()), expected)


def test_a_callable_without_a_known_normalisation_is_shown_stretched() -> None:
    prepare = Transform(lambda image: torch.arange(12.0).reshape(1, 3, 2, 2) - 5)
    picture = prepare.picture(halves())
    assert (picture.min(), picture.max()) == (0, 1)


@pytest.mark.parametrize("result", [None, torch.zeros(3), torch.zeros(1, 2, 4, 4)])
def test_a_callable_that_returns_no_picture_is_refused(result: object) -> None:
    with pytest.raises(ValueError, match=r"\(3, height, width\), got"):
        Transform(lambda image: result)(halves())


@pytest.mark.parametrize(
    "prepare",
    [
        Preprocessing(12, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)),
        Preprocessing(12, mean=(104, 117, 123), channel_order="bgr", value_range=255),
        Preprocessing(12, mean=0.1307, std=(0.3081,), channel_order="gray"),
    ],
)
def test_encoding_a_picture_is_preparing_its_image(prepare: Preprocessing) -> None:
    image = Image.effect_noise((20, 12), 80).convert("RGB")
    found = prepare.encode(prepare.picture(image))
    torch.testing.assert_close(found, prepare(image)[0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(prepare.decode(found), prepare.picture(image))


def test_transforms_without_a_normalisation_cannot_encode() -> None:
    transform = Transform(lambda image: torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="--mean and --std"):
        transform.encode(torch.zeros(3, 4, 4))
    assert transform.decode(torch.arange(48.0).reshape(3, 4, 4)).amax() == 1


def test_a_strip_that_would_fill_the_memory_is_refused() -> None:
    strip = Image.new("RGB", (1, 30_000))
    with pytest.raises(ValueError, match=r"differ less, got 1 × 30000 .* to 512 × 15360000"):
        Preprocessing(512)(strip)
    assert Preprocessing(512, fit="squash")(strip).shape == (1, 3, 512, 512)  # the cure

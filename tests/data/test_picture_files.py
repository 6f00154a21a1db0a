"""Every odd kind of picture is made here with Pillow."""

import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="reading pictures takes Pillow")

from captum_influence.data.picture_files import (  # noqa: E402
    flaw_of_picture,
    picture_endings,
    read_picture,
)

RED, GREEN = (200, 30, 40), (20, 180, 60)


def halves(mode: str = "RGB", size: tuple[int, int] = (8, 4)) -> "Image.Image":
    """A picture whose left half is red and whose right half is green."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, *size))
    return image.quantize(4) if mode == "P" else image.convert(mode)


def colours(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    image = read_picture(path)
    assert image.mode == "RGB"
    return image.getpixel((0, 0)), image.getpixel((image.width - 1, image.height - 1))


READS_YCBCR = pytest.mark.skipif(
    int(version("pillow").partition(".")[0]) < 13,
    reason="Pillow before 13 can't read the YCbCr TIFFs that it writes",
)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", "png"),
        ("P", "png"),
        ("RGBA", "png"),
        ("CMYK", "tiff"),
        pytest.param("YCbCr", "tiff", marks=READS_YCBCR),
    ],
)
def test_colour_modes_keep_their_colours(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    halves(mode).save(path)
    for got, wanted in zip(colours(path), (RED, GREEN), strict=True):
        np.testing.assert_allclose(got, wanted, atol=2)


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_modes_have_three_equal_channels(tmp_path: Path, mode: str) -> None:
    halves(mode).save(tmp_path / "x.png")
    for got in colours(tmp_path / "x.png"):
        assert len(set(got)) == 1


def test_a_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    halves("CMYK", (64, 32)).save(tmp_path / "x.jpg", quality=95)
    for got, wanted in zip(colours(tmp_path / "x.jpg"), (RED, GREEN), strict=True):
        np.testing.assert_allclose(got, wanted, atol=12)  # JPEG's own loss


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    halves().save(tmp_path / "x.png", exif=exif)
    pixels = np.asarray(halves())
    upright = {  # the EXIF standard: where row 0 and column 0 of the stored pixels belong
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels),
    }[orientation]
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "x.png")), upright)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_cut_off(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 255, 257], [32768, 65278, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"x.{suffix}")
    found = np.asarray(read_picture(tmp_path / f"x.{suffix}"))[..., 0]
    np.testing.assert_array_equal(found, [[0, 1, 1], [128, 254, 255]])  # value * 255 / 65535


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 255)])
def test_alpha_is_laid_over_the_background(tmp_path: Path, background: tuple[int, ...]) -> None:
    layer = halves("RGBA")
    layer.putalpha(Image.fromarray(np.repeat([[0] * 4 + [128] * 4], 4, axis=0).astype(np.uint8)))
    layer.save(tmp_path / "x.png")
    image = read_picture(tmp_path / "x.png", background=background)
    mixed = np.array(GREEN) * 128 / 255 + np.array(background) * 127 / 255
    assert image.getpixel((0, 0)) == background
    np.testing.assert_allclose(image.getpixel((7, 3)), mixed, atol=1)


def test_a_palette_with_a_transparent_entry_shows_the_background(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putdata([0, 1])
    image.save(tmp_path / "x.gif", transparency=0)
    assert colours(tmp_path / "x.gif") == ((255, 255, 255), GREEN)


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (4, 4), RED), Image.new("RGB", (4, 4), GREEN)
    first.save(tmp_path / "x.png", save_all=True, append_images=[second])
    assert colours(tmp_path / "x.png")[0] == RED


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")
    (tmp_path / "x.png").write_bytes(buffer.getvalue()[:-500])
    with pytest.raises(ValueError, match=r"whole picture.*x\.png'.*cut short"):
        read_picture(tmp_path / "x.png")


@pytest.mark.parametrize("content", [b"", b"<svg></svg>", b"%PDF-1.7"])
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=rf"JPEG, PNG.*{len(content)} bytes.*convert it"):
        read_picture(tmp_path / "x.jpg")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(FileNotFoundError, match="not a file"):
            read_picture(path)


@pytest.mark.parametrize("limit", [31, 10])  # Pillow warns above the limit, raises above twice it
def test_a_decompression_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    halves().save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"MAX_IMAGE_PIXELS.*smaller"):
        read_picture(tmp_path / "x.png")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_stated_range_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 4), 7).save(tmp_path / "x.tiff")
    with pytest.raises(ValueError, match=r"stated range.*8-bit RGB PNG"):
        read_picture(tmp_path / "x.tiff")


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"captum_influence\[report\]"):
        read_picture(tmp_path / "x.png")


FLAWS = {
    "empty": (b"", "of no format that Pillow reads"),
    "text": (b"<svg></svg>", "of no format that Pillow reads"),
    "cut short": (None, "cut short or damaged: "),
}


@pytest.mark.parametrize("kind", FLAWS)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_flaw_is_told_in_a_few_words(tmp_path: Path, kind: str, ending: str) -> None:
    content, flaw = FLAWS[kind]
    path = tmp_path / f"x.{ending}"
    Image.effect_noise((64, 64), 50).save(path)
    assert flaw_of_picture(path) is None
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    assert str(flaw_of_picture(path)).startswith(flaw)
    with pytest.raises(ValueError, match="expected a"):
        read_picture(path)


def test_other_flaws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("F", (4, 4), 7).save(tmp_path / "x.tiff")
    assert flaw_of_picture(tmp_path / "x.tiff") == "of mode F, whose pixels have no stated range"
    assert "No such file" in str(flaw_of_picture(tmp_path / "absent.png"))
    halves().save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert str(flaw_of_picture(tmp_path / "x.png")).startswith("too large: ")


def test_pictures_are_known_by_all_endings_that_pillow_reads() -> None:
    endings = picture_endings()
    assert {".jpg", ".jfif", ".png", ".ppm", ".tga", ".jp2", ".ico", ".mpo"} <= endings
    assert not {".pdf", ".h5", ".mpg", ".txt"} & endings

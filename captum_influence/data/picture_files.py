"""Files of pictures: which these are, read as they are meant to be seen, and why some can't be."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["flaw_of_picture", "picture_endings", "pillow", "read_picture"]

Colour = tuple[int, int, int]

# Pillow knows these by name, and needs another library or program to read them.
_NO_PICTURES = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}


def read_picture(path: str | PathLike[str], *, background: Colour = (255, 255, 255)) -> Image:
    """Read an image file as it is meant to be seen: upright, opaque, 8-bit RGB.

    The EXIF orientation is applied. Transparent pixels are laid over ``background``. 16-bit grey is
    scaled by 255/65535, not cut off. CMYK is converted without a colour profile. Of an animation,
    the first frame is taken.

    Args:
        path: a file in any format that Pillow reads.
        background: red, green, blue, 0-255, behind transparent pixels; white by default.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture, cut short, larger than ``PIL.Image.MAX_IMAGE_PIXELS``, or
            of a pixel type without a stated range (32-bit integers, floats).
        ImportError: if Pillow is missing.
    """
    pillow()
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"expected an image file, got {str(file)!r}, which is not a file")
    return _opaque(_decoded(file), background)


def flaw_of_picture(path: str | PathLike[str]) -> str | None:
    """Return in a few words why a picture can't be read; None if it can."""
    try:
        # As small as the format allows: for JPEG that is done several times as fast.
        _opaque(_decoded(Path(path), smallest=True), (255, 255, 255))
    except _Refusal as error:
        return error.flaw
    except Exception as error:  # as of a kind of pixels that Pillow decodes and can't convert
        return f"not to be made into RGB: {' '.join(str(error).split())}"
    return None


def picture_endings() -> frozenset[str]:
    """Return the endings of files that Pillow reads as pictures: ``".png"``, ``".tif"``, ..."""
    pil = pillow()
    known = pil.registered_extensions().items()
    readable = {ending for ending, kind in known if kind in pil.OPEN and kind not in _NO_PICTURES}
    return frozenset(readable | {".mpo"})  # which the reader of JPEG opens


def pillow() -> ModuleType:
    """Return Pillow.

    Raises:
        ImportError: if it is missing.
    """
    try:
        import PIL.Image
    except ImportError:
        raise ImportError(
            "reading pictures takes Pillow: pip install 'captum_influence[report]'"
        ) from None
    return PIL.Image


class _Refusal(ValueError):
    """A picture that isn't taken.

    Attributes:
        flaw: why, in a few words.
    """

    def __init__(self, message: str, flaw: str) -> None:
        super().__init__(message)
        self.flaw = flaw


def _decoded(file: Path, *, smallest: bool = False) -> Image:
    """Return the pixels of a file, upright and 8 bits deep."""
    pil = pillow()
    try:
        with pil.open(file) as image:
            _check_size(image, pil.MAX_IMAGE_PIXELS, file)
            if smallest:
                image.draft("RGB", (1, 1))
            image.load()
            return _eight_bit(_upright(image), image.format, file)
    except _Refusal:
        raise
    except (pil.DecompressionBombError, pil.DecompressionBombWarning) as error:
        raise _too_large(file, str(error)) from None
    except pil.UnidentifiedImageError:
        raise _Refusal(
            f"expected a picture in a format that Pillow reads (JPEG, PNG, WebP, TIFF, ...), got "
            f"{str(file)!r} of {file.stat().st_size} bytes, which is none: convert it to PNG",
            "of no format that Pillow reads",
        ) from None
    except Exception as error:  # a damaged file makes a decoder fail in any way
        said = " ".join(str(error).split()) or type(error).__name__
        raise _Refusal(
            f"expected a whole picture, got {str(file)!r}, which Pillow can't decode ({said}): it "
            "is cut short or damaged; fetch or export it again",
            f"cut short or damaged: {said}",
        ) from error


def _check_size(image: Image, limit: int | None, file: Path) -> None:
    """Refuse at once what Pillow warns of: a small file may unpack to more than memory holds."""
    if limit is not None and image.width * image.height > limit:
        raise _too_large(file, f"{image.width} × {image.height} pixels, limit {limit}")


def _too_large(file: Path, size: str) -> _Refusal:
    return _Refusal(
        f"expected a picture below PIL.Image.MAX_IMAGE_PIXELS, got {str(file)!r} ({size}): make it "
        "smaller, or raise that limit if you trust the file",
        f"too large: {size}",
    )


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _eight_bit(image: Image, kind: str | None, file: Path) -> Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion would cut off at 255."""
    if image.mode.startswith("I;16") or (image.mode == "I" and kind == "PNG"):
        values = np.asarray(image).astype(np.float64)  # older Pillow opens 16-bit PNG as mode I
        return pillow().fromarray(np.rint(values / 257).astype(np.uint8))  # type: ignore[no-any-return]
    if image.mode in ("I", "F", "LAB"):
        raise _Refusal(
            f"expected a picture whose pixels have a stated range, got {str(file)!r} of Pillow's "
            f"mode {image.mode!r} (I: 32-bit integers, F: floats, LAB: a colour space without a "
            "profile): save it as an 8-bit RGB PNG",
            f"of mode {image.mode}, whose pixels have no stated range",
        )
    return image


def _opaque(image: Image, background: Colour) -> Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    below = pillow().new("RGBA", layer.size, (*background, 255))
    below.alpha_composite(layer)
    return below.convert("RGB")  # type: ignore[no-any-return]

"""Which display an input gets: a picture's, a series' or a text's, or the user's own."""

from __future__ import annotations

import torch
from torch import Tensor

from captum_influence.reports.display import Display
from captum_influence.reports.shown import Shown
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.units.shown.series import SeriesDisplay
from captum_influence.units.shown.texts import TextDisplay

__all__ = ["display_of", "pictures_of", "rescaled"]


def display_of(one: Tensor, shown: Shown, *, explained: bool = False) -> Display:
    """Return how one input, without the batch dimension, is shown.

    Args:
        one: the input.
        shown: how.
        explained: whether it is the input that is asked about, which ``shown.picture`` shows.

    Raises:
        ValueError: if it is no picture or series and nothing says how to show it, or the picture
            doesn't fit it.
    """
    made: Tensor | Display | None = shown.picture if explained else None
    if made is None and shown.display is not None:
        made = shown.display(one)
    if isinstance(made, Display):
        return made
    if made is None and one.ndim == 1 and not one.is_floating_point():
        return TextDisplay.of(one, shown.tokenizer, shown.percentile)
    if made is None and one.ndim == 2:
        return SeriesDisplay(one.detach().float().cpu(), shown.percentile)
    if made is None and one.ndim != 3:
        raise ValueError(
            f"expected a picture (channels, height, width), a series (channels, steps) or token "
            f"ids (tokens,), got an input of shape {tuple(one.shape)}: say with display= how it is "
            "shown, as a function from one input to a Display"
        )
    picture = rescaled(one) if made is None else _checked(made, one, explained)
    return PictureDisplay.of(picture, shown.percentile, shown.smoothing)


def pictures_of(inputs: Tensor, shown: Shown) -> tuple[Tensor, ...]:
    """Return each example of a batch as a picture (3, height, width); none if they are no pictures.

    Raises:
        ValueError: if ``shown.picture`` stands beside several examples.
    """
    if shown.picture is not None and len(inputs) != 1:
        raise ValueError(
            f"expected picture= beside one input, got {len(inputs)} inputs: say with display= how "
            "each is shown"
        )
    if inputs.ndim != 4 and shown.display is None and shown.picture is None:
        return ()
    displays = [display_of(one, shown, explained=True) for one in inputs]
    pictures = [d.picture for d in displays if isinstance(d, PictureDisplay)]
    return tuple(pictures) if len(pictures) == len(displays) else ()


def rescaled(image: Tensor) -> Tensor:
    """Rescale an image (channels, H, W) to [0, 1] and three colours, to be looked at."""
    image = image.detach().float().cpu()
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low) if high > low else torch.zeros_like(image)
    return scaled if len(scaled) == 3 else scaled.mean(dim=0, keepdim=True).repeat(3, 1, 1)


def _checked(picture: Tensor, one: Tensor, explained: bool) -> Tensor:
    """Return a picture that a map over the input can be laid on; examples may have another size."""
    expected = (3, *one.shape[-2:])
    came = tuple(picture.shape) if isinstance(picture, Tensor) else type(picture).__name__
    if not isinstance(picture, Tensor) or (explained and came != expected):
        raise ValueError(
            f"expected the picture in the geometry of the image, {expected}, got {came}"
        )
    if explained and not bool(((picture >= 0) & (picture <= 1)).all()):
        raise ValueError("expected the picture's colours in [0, 1]; divide bytes by 255")
    return picture.detach().float().cpu()

"""Networks of the Hugging Face hub, or of folders in its form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.data.picture_files import pillow
from captum_influence.data.pictures import Preparation, Preprocessing, Transform
from captum_influence.network.loading.functions import first_line
from captum_influence.network.loading.libraries import check_default, library
from captum_influence.network.loading.loaded import LoadedModel
from captum_influence.network.loading.weights import listed

__all__ = ["from_transformers"]

T = TypeVar("T")

_NO_CODE = {"trust_remote_code": False}
_ROUNDING = 3 / 255  # of a pixel: processors resize tensors, or Pillow's images


def from_transformers(name: str, weights: str | None) -> LoadedModel:
    """Return a classifier of pictures, with its image processor and the names of its classes.

    None of the code that a repository may hold is run.

    Args:
        name: of a repository on the Hugging Face hub, or a folder that ``save_pretrained`` wrote.
        weights: ``"DEFAULT"``, or None: as its configuration says, with random weights.
    """
    transformers = library("transformers")
    check_default(f"hf:{name}", weights)
    config = _of(name, lambda: transformers.AutoConfig.from_pretrained(name, **_NO_CODE))
    classifiers = transformers.AutoModelForImageClassification
    if weights is None:
        model = _of(name, lambda: classifiers.from_config(config, **_NO_CODE))
    else:
        model = _trained(name, classifiers)
    return LoadedModel(model.float(), _preparation(transformers, name), _names(config))


def _of(name: str, ask: Callable[[], T]) -> T:
    """Return what is read from a folder or the hub.

    Raises:
        ValueError: if it classifies no pictures, or isn't in the form that transformers reads.
        RuntimeError: if it is neither here nor can be fetched.
    """
    try:
        return ask()
    except (OSError, ValueError) as error:
        if "configuration class" in str(error):
            raise ValueError(
                f"expected a network that classifies pictures, got hf:{name}, and transformers has "
                "no classifier of pictures of its kind: build it in a FILE.py:FUNCTION"
            ) from error
        if Path(name).is_dir():
            raise ValueError(
                f"expected a folder that save_pretrained wrote, got {name!r}, which transformers "
                f"can't read ({first_line(error)}): save one with model.save_pretrained(folder) "
                "and processor.save_pretrained(folder), or build the network in a FILE.py:FUNCTION"
            ) from error
        raise RuntimeError(
            f"hf:{name} is no folder here, isn't in the cache of the Hugging Face hub and couldn't "
            f"be fetched ({first_line(error)}): check the name and the connection, or run "
            f"`hf download {name} --local-dir FOLDER` where there is one, and say hf:FOLDER"
        ) from error


def _trained(name: str, classifiers: Any) -> Module:
    model, info = _of(
        name, lambda: classifiers.from_pretrained(name, output_loading_info=True, **_NO_CODE)
    )
    # transformers gives them random values, with a line in its log.
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"expected trained weights for all of {type(model).__name__}, got hf:{name} without "
            f"{listed(missing)}: it wasn't trained to classify; name one "
            "that was, or give a file as weights"
        )
    trained: Module = model
    return trained


def _names(config: Any) -> tuple[str, ...] | None:
    """Return the names of the classes; None where they are only numbered."""
    names = [str(config.id2label.get(number)) for number in range(config.num_labels)]
    return None if names == [f"LABEL_{i}" for i in range(len(names))] else tuple(names)


@dataclass(frozen=True, eq=False)
class _Processor:
    """An image processor as a function of a picture.

    Attributes:
        processor: of transformers.
        mean: what its last step subtracts; None: nothing.
        std: what it divides by.
    """

    processor: Any
    mean: Any
    std: Any

    def __call__(self, image: Any) -> Tensor:
        pixels = self.processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"]
        return torch.as_tensor(pixels[0])


def _preparation(transformers: ModuleType, name: str) -> Preparation | None:
    """Return what an image processor does, by its numbers if these say it all; None if absent."""
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(name, **_NO_CODE)
    except (OSError, ValueError):
        return None
    normalised = (processor.image_mean, processor.image_std) if processor.do_normalize else None
    whole = Transform(_Processor(processor, *(normalised or (None, None))))
    try:
        plain = _read_off(processor)
    except (AttributeError, KeyError, TypeError, ValueError):
        return whole
    # Processors have steps of their own: what was read off is compared with them on a picture.
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    image = pillow().fromarray(noise)
    expected, found = whole(image), plain(image)
    tolerance = _ROUNDING / min(np.atleast_1d(plain.std))
    alike = expected.shape == found.shape and bool((expected - found).abs().max() < tolerance)
    return plain if alike else whole


def _read_off(processor: Any) -> Preprocessing:
    size = dict(processor.size)
    sides = dict(processor.crop_size) if getattr(processor, "do_center_crop", False) else size
    squashed = sides is size
    height, width = int(sides["height"]), int(sides["width"])
    return Preprocessing(
        height if height == width else (height, width),
        resize=None if squashed else int(size["shortest_edge"]),
        fit="squash" if squashed else "crop",
        mean=tuple(processor.image_mean) if processor.do_normalize else 0.0,
        std=tuple(processor.image_std) if processor.do_normalize else 1.0,
        interpolation=pillow().Resampling(processor.resample).name.lower(),
    )

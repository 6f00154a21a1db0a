"""Examples out of a folder of pictures, as the network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from captum_influence.cli.subject import Subject
from captum_influence.data.folders import PictureFolder

__all__ = ["answered_examples", "examples_in"]

_BATCH = 16


def examples_in(folder: str, subject: Subject) -> DataLoader[Any]:
    """Return a loader of a folder's pictures, labelled if folders or files are named as classes.

    Raises:
        ValueError: If it is no folder, or holds no pictures.
    """
    pictures = PictureFolder.of(folder, subject.preparation())
    try:
        labelled = pictures.labelled(subject.names, subject.outputs())
    except ValueError:  # the names mean something else
        return DataLoader(pictures, batch_size=_BATCH, collate_fn=_images)
    return DataLoader(labelled, batch_size=_BATCH)


def answered_examples(folder: str, subject: Subject) -> DataLoader[Any]:
    """Return a loader of (images, labels) out of a folder that says the class of each picture.

    Raises:
        ValueError: If it is no folder, holds no pictures, or names no classes.
    """
    pictures = PictureFolder.of(folder, subject.preparation())
    return DataLoader(pictures.labelled(subject.names, subject.outputs()), batch_size=_BATCH)


def _images(items: Sequence[tuple[Tensor, int]]) -> Tensor:
    return torch.stack([image for image, _ in items])

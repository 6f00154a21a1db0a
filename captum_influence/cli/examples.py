"""Examples out of a folder of pictures, as the network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from captum_influence.cli.folder import PictureFolder
from captum_influence.cli.labels import class_index
from captum_influence.cli.subject import Subject

__all__ = ["answered_examples", "examples"]

_BATCH = 16


def examples(folder: str, subject: Subject) -> DataLoader[Any]:
    """Return a loader of a folder's pictures; labelled if its subfolders are named as classes.

    Raises:
        ValueError: If it is no folder, or holds no pictures.
    """
    pictures = PictureFolder.of(folder, subject.preparation())
    try:
        return DataLoader(_labelled(pictures, subject), batch_size=_BATCH)
    except ValueError:  # the subfolders mean something else, or there are none
        return DataLoader(pictures, batch_size=_BATCH, collate_fn=_images)


def answered_examples(folder: str, subject: Subject) -> DataLoader[Any]:
    """Return a loader of (images, labels): one subfolder for each class, by name or number.

    Raises:
        ValueError: If it is no folder, holds no pictures, or a subfolder isn't named as a class.
    """
    pictures = PictureFolder.of(folder, subject.preparation())
    try:
        return DataLoader(_labelled(pictures, subject), batch_size=_BATCH)
    except ValueError as error:
        raise ValueError(
            f"expected a subfolder for each class as --examples, named by it, got {folder!r} with "
            f"{_some(pictures.groups)}: {error}"
        ) from None


def _labelled(pictures: PictureFolder, subject: Subject) -> PictureFolder:
    """Return the pictures with the network's class numbers as their labels."""
    outputs = subject.outputs()
    classes = [class_index(group, subject.names, outputs) for group in pictures.groups]
    return replace(pictures, labels=tuple(classes[group] for group in pictures.labels))


def _images(items: Sequence[tuple[Tensor, int]]) -> Tensor:
    return torch.stack([image for image, _ in items])


def _some(names: Sequence[str], count: int = 3) -> str:
    more = ", ..." if len(names) > count else ""
    return ", ".join(repr(name) for name in names[:count]) + more

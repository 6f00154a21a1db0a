"""What a loader yields: images, or images and labels, brought to the network's device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["device_of", "dtype_of", "images_of", "labelled", "repeatable"]


def device_of(model: nn.Module) -> torch.device:
    """Return where a network's parameters are."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the precision of a network's parameters; float32 if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def repeatable(loader: Iterable[Any]) -> Iterable[Any]:
    """Return a loader that can be gone through several times.

    Raises:
        TypeError: if it ends with the first time.
    """
    if isinstance(loader, Iterator):
        raise TypeError(
            "expected a loader that can be gone through several times, got a "
            f"{type(loader).__name__}, which ends with the first time: make it a list"
        )
    return loader


def images_of(loader: Iterable[Any], model: nn.Module) -> Iterator[Tensor]:
    """Yield the images of each batch, whether or not there are labels.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything else.
    """
    empty = True
    for batch in _checked(loader):
        images = batch if isinstance(batch, Tensor) else _first(batch)
        if not isinstance(images, Tensor):
            raise TypeError(
                "expected the loader to yield images (examples, ...) or (images, labels), got "
                f"{type(batch).__name__}"
            )
        empty = False
        yield images.to(device_of(model))
    _check_not_empty(empty)


def labelled(loader: Iterable[Any], model: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images and the labels (examples,) of each batch.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything else.
    """
    empty = True
    for batch in _checked(loader):
        labels = batch[1] if _is_pair(batch) else None
        if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.is_floating_point():
            raise TypeError(
                "expected the loader to yield (images, labels) with one class number per image, "
                f"got {type(batch).__name__}: labels say which answers are right"
            )
        empty = False
        images, device = cast(Tensor, batch[0]), device_of(model)
        yield images.to(device), labels.to(device)
    _check_not_empty(empty)


def _checked(loader: Iterable[Any]) -> Iterable[Any]:
    if isinstance(loader, Tensor) or not isinstance(loader, Iterable):
        raise TypeError(
            f"expected a loader that yields batches, got {type(loader).__name__}: a list of "
            "batches will do"
        )
    return loader


def _is_pair(batch: Any) -> bool:
    return isinstance(batch, tuple | list) and len(batch) >= 2 and isinstance(batch[0], Tensor)


def _check_not_empty(empty: bool) -> None:
    if empty:
        raise ValueError("the loader is empty: give one that yields batches of images")


def _first(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple | list) and batch else None

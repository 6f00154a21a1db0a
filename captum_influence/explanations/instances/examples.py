"""The pictures out of a loader in which a unit stands out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor

from captum_influence.data.loaders import device_of
from captum_influence.units.axes import Axis
from captum_influence.units.geometry import receptive_fields
from captum_influence.units.interpreted import Example
from captum_influence.units.measurement import Measurement, observe

__all__ = ["top_examples"]


@dataclass(frozen=True, eq=False)
class _Case:
    """One picture out of a loader, and how much a unit does there."""

    kind: str
    number: int
    label: int | None
    value: float
    inputs: Tensor


def top_examples(
    measurement: Measurement,
    loader: Iterable[Any],
    axis: Axis,
    indices: Sequence[tuple[int, ...]],
    display: Callable[[Tensor], Tensor],
    count: int = 3,
) -> list[tuple[Example, ...]]:
    """Return, for each unit, where in a loader it is most active and where it does most.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything but images, or images and labels.
    """
    best: list[dict[str, list[_Case]]] = [{} for _ in indices]
    start, device = 0, device_of(measurement.model)
    for batch in loader:
        images, labels = _split(batch)
        images = images.to(device)
        for kind, values in _pooled(measurement, images, axis).items():
            for unit, index in zip(best, indices, strict=True):
                fresh = _cases(kind, axis.entry(values, index), start, images, labels, count)
                both = unit.get(kind, []) + fresh
                unit[kind] = sorted(both, key=lambda case: (-case.value, case.number))[:count]
        start += len(images)
    if not start:
        raise ValueError("the loader is empty: give one that yields batches of images")
    found = []
    for unit, index in zip(best, indices, strict=True):
        cases = [case for kept in unit.values() for case in kept]
        found.append(tuple(_shown(measurement, axis, index, cases, display)))
    return found


def _pooled(measurement: Measurement, images: Tensor, axis: Axis) -> dict[str, Tensor]:
    activations = observe(measurement.model, images, measurement.cut)
    values, _ = measurement.units(images)
    by, aggregate = measurement.by, measurement.aggregate
    return {
        "activation": axis.pool(activations, aggregate).cpu(),
        by: axis.pool(values, aggregate).cpu(),
    }


def _cases(
    kind: str, values: Tensor, start: int, images: Tensor, labels: Tensor | None, count: int
) -> list[_Case]:
    order = values.argsort(descending=True, stable=True)[:count].tolist()
    return [
        _Case(
            kind,
            start + i,
            None if labels is None else int(labels[i]),
            float(values[i]),
            images[i].detach().clone(),  # the rest of the batch can go
        )
        for i in order
    ]


def _shown(
    measurement: Measurement,
    axis: Axis,
    index: tuple[int, ...],
    cases: Sequence[_Case],
    display: Callable[[Tensor], Tensor],
) -> Iterator[Example]:
    """Yield what is shown of a unit's cases, those of one size in one pass."""
    for _, group in groupby(cases, key=lambda case: case.inputs.shape):
        alike = list(group)
        boxes = receptive_fields(
            measurement.model,
            torch.stack([case.inputs for case in alike]),
            measurement.cut,
            axis.selector(index),
        )
        for case, box in zip(alike, boxes, strict=True):
            image = display(case.inputs)
            same = image.shape[-2:] == case.inputs.shape[-2:]
            yield Example(
                case.kind, case.number, case.label, case.value, image, box=box if same else None
            )


def _split(batch: Any) -> tuple[Tensor, Tensor | None]:
    """Return the images of a loader's batch, and its labels if they are one int per image."""
    if isinstance(batch, Tensor):
        return batch, None
    if not isinstance(batch, tuple | list) or not batch or not isinstance(batch[0], Tensor):
        raise TypeError(
            "expected the loader to yield images (examples, ...) or (images, labels), got "
            f"{type(batch).__name__}"
        )
    labels = batch[1] if len(batch) > 1 else None
    whole = isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point()
    return batch[0], cast(Tensor, labels) if whole else None

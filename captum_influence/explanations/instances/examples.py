"""The pictures out of a loader in which a unit stands out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from captum_influence.data.batches import maybe_labelled
from captum_influence.network.devices import device_of
from captum_influence.network.reading import activations
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis
from captum_influence.units.geometry import Box, receptive_fields
from captum_influence.units.interpreted import Example
from captum_influence.units.measurement import Measurement
from captum_influence.units.shown.choice import display_of
from captum_influence.units.shown.pictures import PictureDisplay

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
    axis: Axis,
    indices: Sequence[tuple[int, ...]],
    shown: Shown,
    count: int = 3,
) -> list[tuple[Example, ...]]:
    """Return, for each unit, where in ``shown.loader`` its activation and its value are largest.

    Raises:
        ValueError: if the loader is empty.
        TypeError: if it yields anything but images, or images and labels.
    """
    best: list[dict[str, list[_Case]]] = [{} for _ in indices]
    start, loader = 0, () if shown.loader is None else shown.loader
    for images, labels in maybe_labelled(loader, device_of(measurement.model)):
        for kind, values in _pooled(measurement, images, axis).items():
            for unit, index in zip(best, indices, strict=True):
                fresh = _cases(kind, axis.entry(values, index), start, images, labels, count)
                both = unit.get(kind, []) + fresh
                unit[kind] = sorted(both, key=lambda case: (-case.value, case.number))[:count]
        start += len(images)
    found = []
    for unit, index in zip(best, indices, strict=True):
        cases = [case for kept in unit.values() for case in kept]
        found.append(tuple(_shown(measurement, axis, index, cases, shown)))
    return found


def _pooled(measurement: Measurement, images: Tensor, axis: Axis) -> dict[str, Tensor]:
    here = activations(measurement.model, images, measurement.cut)
    values, _ = measurement.values(images)
    by, aggregate = measurement.by, measurement.units.aggregate
    return {
        "activation": axis.pool(here, aggregate).cpu(),
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
    shown: Shown,
) -> Iterator[Example]:
    """Yield what is shown of a unit's cases, those of one size in one pass."""
    for _, group in groupby(cases, key=lambda case: case.inputs.shape):
        alike = list(group)
        for case, box in zip(alike, _boxes(measurement, axis, index, alike), strict=True):
            display = display_of(case.inputs, shown)
            picture = display.picture if isinstance(display, PictureDisplay) else None
            fits = picture is not None and picture.shape[-2:] == case.inputs.shape[-2:]
            yield Example(
                kind=case.kind,
                number=case.number,
                label=case.label,
                value=case.value,
                display=display,
                label_name=None if case.label is None else shown.name(case.label),
                box=box if fits else None,
            )


def _boxes(
    measurement: Measurement, axis: Axis, index: tuple[int, ...], cases: Sequence[_Case]
) -> Sequence[Box | None]:
    """Return what a unit's most active entry sees of each picture; None of what is no picture."""
    images = torch.stack([case.inputs for case in cases])
    if images.ndim != 4:
        return [None] * len(cases)
    return receptive_fields(measurement.model, images, measurement.cut, axis.selector(index))

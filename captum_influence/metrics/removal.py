"""What a network says without some of its units, or without some of a picture's pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from captum_influence.attr.quantities import Quantity
from captum_influence.network.cuts import Cut
from captum_influence.network.slices import Slice

__all__ = [
    "Layer",
    "PixelFill",
    "Removal",
    "UnitFill",
    "_pixels_filled",
    "removing",
    "removing_pixels",
]

UnitFill = Literal["zero", "mean", "resample"]
PixelFill = str | float | Tensor
Layer = nn.Module | str | Cut


@dataclass(frozen=True, eq=False)
class Removal:
    """A network whose input, or layer, can be asked to go without some of its features.

    Attributes:
        quantity: (examples,), q of the untouched network.
        features: how many there are for each example.
        answer: features put in the place of some, (rows, ...), and whose they are -> q (rows,).
        own: (examples, ...), the features as they are.
        other: shaped alike, what stands for those that are gone.
        spread: masks of features (rows, features) -> masks that broadcast with ``own``.
        rows: how many at once.
    """

    quantity: Tensor
    features: int
    answer: Callable[[Tensor, Tensor], Tensor]
    own: Tensor
    other: Tensor
    spread: Callable[[Tensor], Tensor]
    rows: int

    def without(self, gone: Tensor) -> Tensor:
        """Return q (examples, sets) for each set of features, bool (examples, sets, features)."""
        sets = gone.shape[1]
        whose = torch.arange(len(self.own)).repeat_interleave(sets)
        parts = []
        for part, rows in zip(
            torch.split(whose, self.rows), torch.split(gone.flatten(0, 1), self.rows), strict=True
        ):
            here = part.to(self.own.device)
            mask = self.spread(rows.to(self.own.device))
            parts.append(self.answer(torch.where(mask, self.other[here], self.own[here]), part))
        return torch.cat(parts).reshape(-1, sets)


@contextmanager
def removing(
    model: nn.Module,
    layer: Layer,
    inputs: Tensor,
    target: Any,
    fill: UnitFill = "zero",
    reference: Tensor | None = None,
    *,
    axis: int = 1,
    rows: int = 64,
    seed: int = 0,
) -> Iterator[Removal]:
    """Open a network at a layer, so that units can be removed there.

    Raises:
        ValueError: if an argument is out of range.
    """
    _check_rows(rows)
    slice_ = Slice(model, [], sample_at=Cut.ensure(layer))
    with slice_.opened(), torch.no_grad():
        inputs = slice_.admitted(inputs)
        reading = slice_.record((inputs,), ())
        units = _one(reading.cuts[0], axis)
        quantity = Quantity.ensure(target).resolve(reading.output)
        entry = cast(Cut, slice_.sample_at)

        def answer(changed: Tensor, examples: Tensor) -> Tensor:
            images = inputs[examples.to(inputs.device)]
            read = slice_.read((images,), (), overwrite={entry: (changed,)}, examples=examples)
            return quantity.rows(examples)(read.output).detach()

        shape = [-1 if d in (0, axis) else 1 for d in range(units.ndim)]
        shape[axis] = units.shape[axis]
        other = _units_filled(model, layer, units, fill, reference, axis, seed)
        whole = quantity(reading.output).detach()
        yield Removal(
            whole, units.shape[axis], answer, units, other, lambda m: m.reshape(shape), rows
        )


def removing_pixels(
    model: nn.Module, inputs: Tensor, target: Any, *, fill: PixelFill, patch: int, rows: int = 64
) -> Removal:
    """Return a network whose pictures can go without squares of ``patch`` pixels, row by row.

    Raises:
        ValueError: if an argument is out of range.
    """
    _check_rows(rows)
    height, width = inputs.shape[2:]
    down, across = -(-height // patch), -(-width // patch)
    quantity = Quantity.ensure(target)
    if quantity.needs_reference:
        with torch.no_grad():
            quantity = quantity.resolve(model(inputs))

    def answer(pictures: Tensor, examples: Tensor) -> Tensor:
        with torch.no_grad():
            return quantity.rows(examples)(model(pictures))

    def spread(mask: Tensor) -> Tensor:
        squares = mask.reshape(-1, 1, down, across)
        pixels = squares.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
        return pixels[..., :height, :width]

    everyone = torch.split(torch.arange(len(inputs)), rows)
    whole = torch.cat([answer(inputs[part.to(inputs.device)], part) for part in everyone])
    filled = _pixels_filled(inputs, fill)
    return Removal(whole, down * across, answer, inputs, filled, spread, rows)


def _pixels_filled(inputs: Tensor, fill: PixelFill) -> Tensor:
    """Return what stands for pixels that are gone, shaped like the inputs.

    Raises:
        ValueError: for a name other than ``"mean"`` or ``"blur"``.
    """
    if isinstance(fill, Tensor):
        return fill.to(inputs).expand_as(inputs)
    if isinstance(fill, int | float):
        return torch.full_like(inputs, float(fill))
    if fill == "mean":
        return inputs.mean((2, 3), keepdim=True).expand_as(inputs)
    if fill != "blur":
        raise ValueError(f'expected "mean", "blur", a number or a tensor as a fill, got {fill!r}')
    reach = max(1, min(inputs.shape[2:]) // 8)
    for _ in range(3):  # three boxes come close to a Gaussian
        kernel = 2 * reach + 1
        inputs = avg_pool2d(inputs, kernel, stride=1, padding=reach, count_include_pad=False)
    return inputs


def _units_filled(
    model: nn.Module,
    layer: Layer,
    units: Tensor,
    fill: UnitFill,
    reference: Tensor | None,
    axis: int,
    seed: int,
) -> Tensor:
    """Return what stands for removed units, shaped like them."""
    if fill == "zero":
        return torch.zeros_like(units)
    if fill not in ("mean", "resample"):
        raise ValueError(f'expected fill="zero", "mean" or "resample", got {fill!r}')
    others = units if reference is None else _read(model, layer, reference, axis)
    if reference is None and len(units) < 2:
        raise ValueError(
            f'fill="{fill}" of a single example would put back what was removed: pass reference='
        )
    if others.shape[1:] != units.shape[1:]:
        raise ValueError(
            f"expected reference units of shape {tuple(units.shape[1:])} per example, got "
            f"{tuple(others.shape[1:])}: pass inputs of the same size"
        )
    if fill == "mean":
        pooled = [d for d in range(units.ndim) if d != axis]
        return others.mean(pooled, keepdim=True).expand_as(units)
    generator = torch.Generator().manual_seed(seed)
    if reference is not None:
        picks = torch.randint(len(others), (len(units),), generator=generator)
    else:  # a cycle through all: nobody gets its own
        cycle = torch.randperm(len(units), generator=generator)
        picks = torch.empty_like(cycle).scatter_(0, cycle, cycle.roll(1))
    return others[picks.to(others.device)]


def _read(model: nn.Module, layer: Layer, inputs: Tensor, axis: int) -> Tensor:
    slice_ = Slice(model, [Cut.ensure(layer)])
    with slice_.opened(), torch.no_grad():
        inputs = slice_.admitted(inputs)
        return _one(slice_.read((inputs,), (), cuts=slice_.cuts, cuts_only=True).cuts[0], axis)


def _one(tensors: tuple[Tensor, ...], axis: int) -> Tensor:
    if len(tensors) != 1:
        raise ValueError(
            f"expected one tensor at the layer, got {len(tensors)}: pick one by Cut(select=...)"
        )
    if not 1 <= axis < tensors[0].ndim:
        raise ValueError(
            f"expected axis from 1 to {tensors[0].ndim - 1}, for a layer of shape "
            f"{tuple(tensors[0].shape)}; got {axis}"
        )
    return tensors[0].detach()


def _check_rows(rows: int) -> None:
    if rows < 1:
        raise ValueError(f"expected a positive number of rows per pass, got {rows}")

"""Alignment: what methods return, as maps of the inputs' size."""

from __future__ import annotations

import math

from torch import Tensor

from captum_influence.methods.catalogue import NotApplicable
from captum_influence.units.geometry import Geometry

__all__ = ["aligned", "size_of"]


def aligned(values: Tensor, at: str, inputs: Tensor, geometry: Geometry | None) -> Tensor:
    """Return a map (examples, 1, height, width) of the inputs' size.

    Args:
        values: shaped like the inputs or like a layer; channels are summed.
        at: ``"input"`` or ``"layer"``.
        inputs: (examples, ...).
        geometry: where the layer's places look; None: as if they divided the inputs evenly.

    Raises:
        NotApplicable: if the layer has no places.
    """
    size = size_of(inputs)
    if at == "input" and values.shape == inputs.shape:
        return values.sum(1, keepdim=True) if values.ndim == 4 else values.reshape(-1, 1, *size)
    if values.ndim == 4:
        shape = (int(values.shape[2]), int(values.shape[3]))
        return (geometry or Geometry.even(shape, size)).enlarged(values.sum(1, keepdim=True))
    if values.ndim != 3:
        raise NotApplicable(f"a layer of shape {tuple(values.shape)} has no places to draw")
    return _from_tokens(values.sum(2), inputs, size)


def size_of(inputs: Tensor) -> tuple[int, int]:
    """Return the height and width of inputs as pictures; rows are pictures of one line."""
    own = tuple(inputs.shape[-2:]) if inputs.ndim > 2 else (1, inputs.shape[-1])
    return int(own[0]), int(own[1])


def _from_tokens(tokens: Tensor, inputs: Tensor, size: tuple[int, int]) -> Tensor:
    """Lay tokens (examples, tokens) out as a grid, a class token in front left out."""
    count = tokens.shape[1]
    if inputs.ndim == 3 and count == size[0]:  # steps of a sequence: alike for all its features
        return tokens[:, None, :, None].expand(-1, 1, *size)
    for extra in (0, 1):
        across = math.sqrt((count - extra) * size[1] / size[0])
        columns = round(across)
        if inputs.ndim == 4 and columns and math.isclose(across, columns):
            grid = tokens[:, extra:].reshape(len(tokens), 1, -1, columns)
            return Geometry.even((grid.shape[2], columns), size).enlarged(grid)
    raise NotApplicable(f"{count} tokens form no grid over inputs of {size[0]} by {size[1]}")

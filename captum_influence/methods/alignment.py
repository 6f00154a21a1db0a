"""Alignment: what methods return, as maps of the inputs' size."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from captum_influence.methods.catalogue import NotApplicable
from captum_influence.units.geometry import Geometry

__all__ = ["aligned", "of_tokens", "size_of", "together"]

_SAME = 1e-3  # of the larger one's largest entry: neither colours nor three digits tell them apart


def aligned(
    values: Tensor, at: str, inputs: Tensor, geometry: Geometry | None, channel: int | None = None
) -> Tensor:
    """Return a map (examples, 1, height, width) of the inputs' size.

    Args:
        values: shaped like the inputs or like a layer; channels are summed.
        at: ``"input"`` or ``"layer"``.
        inputs: (examples, ...).
        geometry: where the layer's places look; None: as if they divided the inputs evenly.
        channel: which of the layer's dimensions counts channels; None: the second of pictures, the
            last of tokens.

    Raises:
        NotApplicable: if the layer has no places.
    """
    size = size_of(inputs)
    if at == "input" and values.shape == inputs.shape:
        return values.sum(1, keepdim=True) if values.ndim == 4 else values.reshape(-1, 1, *size)
    if values.ndim not in (3, 4):
        raise NotApplicable(f"a layer of shape {tuple(values.shape)} has no places to draw")
    places = values.sum((1 if values.ndim == 4 else 2) if channel is None else channel)
    if values.ndim == 4:
        shape = (int(places.shape[1]), int(places.shape[2]))
        return (geometry or Geometry.even(shape, size)).enlarged(places[:, None])
    if channel == 1 and inputs.ndim == 3:  # a series with its channels first: alike for all of them
        return Geometry.even((1, places.shape[1]), size).enlarged(places[:, None, None])
    return _from_tokens(places, inputs, size)


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


def of_tokens(values: Tensor, at: str) -> Tensor:
    """Return what each token gets, (tokens,), of a map (tokens, features).

    Features are added up. A map of a layer repeats for each of them what a token gets there: that
    counts once.

    Args:
        values: the map.
        at: ``"input"`` or ``"layer"``.
    """
    return values[:, 0] if at == "layer" else values.sum(dim=1)


def together(maps: Mapping[str, Tensor]) -> list[tuple[str, ...]]:
    """Return the names of maps, those together that are the same to rounding.

    The same are maps that differ nowhere by more than a thousandth of the largest entry.
    """
    found: list[list[str]] = []
    for name, values in maps.items():
        for names in found:
            first = maps[names[0]]
            end = max(float(first.abs().max()), float(values.abs().max()))
            if float((values - first).abs().max()) <= _SAME * end:
                names.append(name)
                break
        else:
            found.append([name])
    return [tuple(names) for names in found]

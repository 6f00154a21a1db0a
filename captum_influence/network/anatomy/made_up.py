"""An input for a network that nobody has given one for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import Conv2d, Embedding, Module

__all__ = ["made_up_inputs"]

_POSITIONS = 7
_SIZES = (224, 32, 64, 384)  # of pictures, where the network doesn't say


def made_up_inputs(network: Module) -> Any:
    """Return an input that the network takes.

    A network of transformers brings one of its own (``dummy_inputs``); else ids, a picture, or a
    series of the width of the first weight is tried.

    Raises:
        ValueError: if it takes none of them.
    """
    for inputs in _candidates(network):
        if _runs(network, inputs):
            return inputs
    raise ValueError(
        "expected to make up an input that the network takes, but it took none: pass one, as by "
        "Anatomy.of(model, inputs)"
    )


def _candidates(network: Module) -> Iterator[Any]:
    dummy = getattr(network, "dummy_inputs", None)
    if isinstance(dummy, dict):
        yield dummy
    places = next(network.parameters(), torch.zeros(1))
    device, dtype = places.device, places.dtype
    ids = torch.arange(_POSITIONS, device=device)[None]
    pictures = list(_pictures(network, device, dtype))
    if any(isinstance(module, Embedding) for module in network.modules()):
        yield (ids,)
        yield from ({"input_ids": ids, "pixel_values": picture} for picture in pictures)
    yield from ((picture,) for picture in pictures)
    width = next((p.shape[1] for p in network.parameters() if p.ndim == 2), None)
    if width is not None:
        series = torch.linspace(-1, 1, _POSITIONS * width, device=device).sin()
        yield (series.to(dtype).reshape(1, _POSITIONS, width),)


def _pictures(network: Module, device: torch.device, dtype: torch.dtype) -> Iterator[Tensor]:
    first = next((m for m in network.modules() if isinstance(m, Conv2d)), None)
    if first is None:
        return
    config = getattr(network, "config", None)
    inner = getattr(config, "vision_config", config)
    said = getattr(inner, "image_size", None) or getattr(network, "image_size", None)
    for size in _SIZES if said is None else (said,):
        height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
        count = first.in_channels * height * width
        pixels = torch.linspace(-1, 1, count, device=device).mul(40).sin()
        yield pixels.to(dtype).reshape(1, first.in_channels, height, width)


def _runs(network: Module, inputs: Any) -> bool:
    given, keywords = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    try:
        with torch.no_grad():
            network(*given, **keywords)
    except Exception:  # whatever a network says of what it doesn't take
        return False
    return True

"""Fixed numbers to try things on, and the tensors of nested values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["mapped", "numbers", "tensors_of"]


def numbers(*shape: int) -> Tensor:
    """Return fixed numbers between -2 and 2 without ties or zeros, float64."""
    count: int = int(np.prod(shape))
    return (2.0 * torch.sin(1.7 * torch.arange(1, count + 1, dtype=torch.float64))).reshape(shape)


def mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return the same structure with its tensors changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(change, item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(mapped(change, item) for item in value)
    return value


def tensors_of(value: Any) -> list[Tensor]:
    """Return the tensors of a structure in order."""
    found: list[Tensor] = []
    mapped(lambda tensor: found.append(tensor) or tensor, value)  # type: ignore[func-returns-value]
    return found

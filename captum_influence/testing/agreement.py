"""What checks compare: values that agree, copies that behave alike."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["agree", "close", "copies", "require"]


def require(condition: bool, message: str) -> None:
    """Raise an AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)


def close(left: Tensor, right: Tensor, tolerance: float) -> bool:
    """Return whether tensors have the same shape and nearly the same numbers."""
    return left.shape == right.shape and torch.allclose(
        left.double(), right.double(), rtol=tolerance, atol=tolerance
    )


def agree(expected: Sequence[Tensor], came: Sequence[Tensor], tolerance: float, when: str) -> None:
    """Demand tensors that differ by no more than a share of the largest expected number."""
    require(len(expected) == len(came), f"{when}, it returns {len(came)} tensors")
    for left, right in zip(expected, came, strict=True):
        scale = float(left.abs().max()) or 1.0
        require(
            left.shape == right.shape and close(right / scale, left / scale, tolerance),
            f"{when}, it returns something else",
        )


def copies(value: Any, picklable: bool) -> Iterator[tuple[str, Any]]:
    """Yield a deep copy, and what comes back from a pickle if the class can be looked up."""
    yield "a deep copy", copy.deepcopy(value)
    kind = type(value)
    known = getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind
    if not (picklable and known):
        return
    try:
        pickled = pickle.dumps(value)
    except Exception as error:  # whatever it is, it is the finding
        raise AssertionError(f"it can't be pickled ({error}): or set picklable=False") from None
    yield "a pickled copy", pickle.loads(pickled)

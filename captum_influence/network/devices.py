"""Where a network is, and in which precision."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["device_of", "dtype_of"]


def device_of(model: object) -> torch.device:
    """Return where a network's parameters are; the CPU of what has none, as a function."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the precision of a network's parameters; float32 if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)

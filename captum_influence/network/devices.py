"""Where a network is, and in which precision."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["bfloat16_products", "device_of", "dtype_of"]


def device_of(model: object) -> torch.device:
    """Return where a network's parameters are; the CPU of what has none, as a function."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the precision of a network's parameters; float32 if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)


def bfloat16_products(device: torch.device) -> bool:
    """Return whether a device multiplies in bfloat16 itself, faster than in float32.

    That is CPUs with AVX512-BF16 or AMX, and CUDA devices from compute capability 8.0 on.
    """
    if device.type == "cuda":
        return bool(torch.cuda.get_device_capability(device) >= (8, 0))
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # from torch 2.6 on
    return any(getattr(torch.cpu, name, bool)() for name in known)

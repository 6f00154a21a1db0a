"""Whether what is computed keeps a graph: switched here, and nowhere else below."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["with_graph", "without_graph"]


@contextmanager
def with_graph() -> Iterator[None]:
    """Let autograd record, also within a caller's ``no_grad`` or ``inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def without_graph() -> Iterator[None]:
    """Keep autograd from recording."""
    with torch.no_grad():
        yield

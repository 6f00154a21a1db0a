"""What a pass saw: tensors at cuts, edges of a graph, and the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.autograd.graph import GradientEdge

from captum_influence.network.cuts import Tensors

__all__ = ["Reading", "Trace"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a plain pass saw: the tensors at each cut and the output at ``measure_at``."""

    cuts: tuple[Tensors, ...]
    output: Any


@dataclass(frozen=True, eq=False)
class Trace:
    """What a pass with a graph saw: an edge per tensor per cut, and the output to differentiate."""

    edges: tuple[tuple[GradientEdge, ...], ...]
    like: tuple[Tensors, ...]
    output: Any

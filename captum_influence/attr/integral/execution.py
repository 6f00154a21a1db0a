"""How a question is computed: choices that change its speed, not its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Execution"]


@dataclass(frozen=True)
class Execution:
    """How influences are computed.

    Args:
        memory_format: ``"channels_last"`` hands points on in that layout, which convolutions on
            CPU and tensor cores prefer. The user's network is not converted. Convolution
            algorithms change with it, so a few ReLU and max-pool decisions near zero may flip.
        quantities: how several quantities share one forward pass: ``"loop"`` goes backward once
            for each on the retained graph, ``"batched"`` once for all; ``"auto"`` batches where
            the part of the network behind the cuts is small.
        compile: a mode of ``torch.compile`` (``"default"``, ``"reduce-overhead"``, which replays
            CUDA graphs, or ``"max-autotune"``) for the largest modules that hold no cut. They are
            compiled at the first call and kept by the :class:`DistributionalInfluence`.
        pooled: whether a micro-batch takes the memory that the one before it freed, instead of new
            pages from the system. For CPUs with glibc (Linux), elsewhere without effect; PyTorch
            pools CUDA memory anyway. The allocator is the process's, so other threads' tensors
            are pooled too while a call runs; at its end what the pool has grown by goes back.
    """

    memory_format: Literal["preserve", "channels_last"] = "preserve"
    quantities: Literal["auto", "loop", "batched"] = "auto"
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None = None
    pooled: bool = False

    def __post_init__(self) -> None:
        if self.memory_format not in ("preserve", "channels_last"):
            raise ValueError(
                f'expected memory_format="preserve" or "channels_last", got {self.memory_format!r}'
            )
        if self.compile not in (None, "default", "reduce-overhead", "max-autotune"):
            raise ValueError(
                'expected compile=None or a mode of torch.compile ("default", "reduce-overhead", '
                f'"max-autotune"), got {self.compile!r}'
            )
        if self.quantities not in ("auto", "loop", "batched"):
            raise ValueError(
                f'expected quantities="auto", "loop" or "batched", got {self.quantities!r}'
            )

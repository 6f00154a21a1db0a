"""How a question is computed: choices that change its speed, not its meaning."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

__all__ = ["Computation", "Execution", "LastChosen", "Layout", "Sharing"]

Layout = Literal["preserve", "channels_last"]
Sharing = Literal["loop", "batched"]


@dataclass(frozen=True)
class Execution:
    """How influences are computed; what is ``"auto"`` is chosen from the network and the question.

    What was chosen, and why, is in ``DistributionalInfluence.chosen``. The rules look at shapes and
    types alone, never at a clock, so the same question is computed alike each time.

    Args:
        memory_format: ``"channels_last"`` hands points on in that layout, which convolutions on
            CPU and tensor cores prefer. The user's network is not converted. Convolution
            algorithms change with it, so a few ReLU and max-pool decisions near zero may flip.
            ``"preserve"`` leaves them as they came.
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
        precision: ``"bfloat16"`` runs the points, forward and backward, in that precision
            (``torch.autocast``; the network isn't touched) and sums up in float32. A few points of
            the first micro-batch are also run in full precision, and how far apart the two are is
            in ``chosen.relative_error``, with a warning above 5 %. For float32 networks on CUDA
            devices and on CPUs with AVX512-BF16 or AMX; elsewhere it is refused. None: as the
            network has it.

    Example:
        >>> Execution(precision="bfloat16").memory_format
        'auto'
    """

    memory_format: Literal["auto", "preserve", "channels_last"] = "auto"
    quantities: Literal["auto", "loop", "batched"] = "auto"
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None = None
    pooled: bool | Literal["auto"] = "auto"
    precision: Literal["bfloat16"] | None = None

    def __post_init__(self) -> None:
        if self.memory_format not in ("auto", "preserve", "channels_last"):
            raise ValueError(
                'expected memory_format="auto", "preserve" or "channels_last", got '
                f"{self.memory_format!r}"
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
        if self.pooled not in ("auto", True, False):
            raise ValueError(f'expected pooled="auto", True or False, got {self.pooled!r}')
        if self.precision not in (None, "bfloat16"):
            raise ValueError(
                'expected precision=None (as the network has it) or "bfloat16", got '
                f"{self.precision!r}"
            )

    @staticmethod
    def plain() -> Execution:
        """Return the way without any choice: points as they came, one quantity after the other.

        Example:
            >>> Execution.plain().memory_format
            'preserve'
        """
        return Execution("preserve", "loop", pooled=False)


@dataclass(frozen=True)
class Computation:
    """How a question was computed.

    Attributes:
        rows: the (example, point) rows of a micro-batch.
        memory_format: of the points.
        quantities: whether each went backward on its own, ``"loop"``, or all at once.
        pooled: whether a micro-batch took the memory that the one before it freed.
        precision: what the points were run in; None: as the network has it.
        reasons: why, a sentence for each choice that was left to us.
        relative_error: of a few points of the first micro-batch, in that precision against full
            precision: the largest relative L2 distance over layers and quantities. None in full
            precision.
    """

    rows: int
    memory_format: Layout
    quantities: Sharing
    pooled: bool
    precision: Literal["bfloat16"] | None = None
    reasons: tuple[str, ...] = ()
    relative_error: float | None = None

    def __str__(self) -> str:
        pooled = "memory pooled" if self.pooled else "memory not pooled"
        words = [f"{self.rows} rows at once", self.memory_format, f"quantities {self.quantities}"]
        line = ", ".join([*words, pooled])
        if self.precision is not None:
            line += f", {self.precision}"
            if self.relative_error is not None:
                line += f" (relative error {self.relative_error:.1%})"
        return "\n".join([line, *(f"- {reason}" for reason in self.reasons)])


class LastChosen(threading.local):
    """What was chosen for the last call of this thread; a copy in another process knows none."""

    value: Computation | None = None

    def __reduce__(self) -> tuple[type[LastChosen], tuple[()]]:
        return LastChosen, ()

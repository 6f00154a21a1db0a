"""Timing two ways of doing the same thing in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Run = Callable[[], Sequence[Tensor]]


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds, in seconds; ``ratio`` is the median of the rounds' ratios."""

    peer_cpu: float
    ours_cpu: float
    peer_wall: float
    ours_wall: float
    ratio: float
    ratio_wall: float
    difference: float


def in_turn(peer: Run, ours: Run, *, rounds: int, share: float = 1.0) -> Timing:
    """Run A, B, A, B, ... and compare the results; of several rounds the first isn't counted.

    ``share`` is the part of the peer's work that ``peer`` does: its times are divided by it.
    """
    rows = []
    for _ in range(rounds + (rounds > 1)):
        theirs, peer_cpu, peer_wall = _clocked(peer)
        found, ours_cpu, ours_wall = _clocked(ours)
        rows.append((peer_cpu / share, ours_cpu, peer_wall / share, ours_wall))
    rows = rows[1:] or rows
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    ratio = statistics.median(row[0] / row[1] for row in rows)
    ratio_wall = statistics.median(row[2] / row[3] for row in rows)
    return Timing(*medians, ratio, ratio_wall, relative_difference(theirs, found))


def _clocked(run: Run) -> tuple[Sequence[Tensor], float, float]:
    synchronize()
    cpu, wall = time.process_time(), time.perf_counter()
    found = run()
    synchronize()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def synchronize() -> None:
    """Wait for a CUDA device, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def relative_difference(peer: Sequence[Tensor], ours: Sequence[Tensor]) -> float:
    """Return the largest relative L2 difference of the results that both computed."""
    return max(
        float((a.double() - b.double()).norm() / a.double().norm().clamp(min=1e-30))
        for a, b in zip(peer, ours, strict=False)
    )

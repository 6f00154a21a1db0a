"""Two ways of doing the same thing, each in a process of its own, asked in turn.

Neither side so inherits the heap or the caches that the other one leaves behind.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import Run, Timing, relative_difference, synchronize

Build = Callable[[], Run]
_LEAST = 0.3  # CPU seconds that are clocked at once: shorter runs are repeated


@dataclass(frozen=True)
class Answered:
    """What a side found, with CPU and wall seconds of one run, and its peak memory in MB."""

    found: list[Tensor]
    cpu: float
    wall: float
    peak: float


def apart(peer: Build, ours: Build, *, rounds: int, share: float = 1.0) -> dict[str, Any]:
    """Run A, B, A, B, ... in two processes; of several rounds the first isn't counted.

    ``share`` is the part of the peer's work that ``peer`` does: its times are divided by it. The
    builders cross a process border, so they are functions of a module or partials of these.
    """
    sides = [_Side(build) for build in (peer, ours)]
    try:
        rows = [[side.asked() for side in sides] for _ in range(rounds + (rounds > 1))]
    finally:
        for side in sides:
            side.end()
    difference = relative_difference(*(side.found for side in rows[-1]))
    counted = rows[1:] or rows
    times = [(a.cpu / share, b.cpu, a.wall / share, b.wall) for a, b in counted]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    ratio = statistics.median(row[0] / row[1] for row in times)
    ratio_wall = statistics.median(row[2] / row[3] for row in times)
    timing = Timing(*medians, ratio, ratio_wall, difference)
    peaks = {"peer_MB": rows[-1][0].peak, "ours_MB": rows[-1][1].peak}
    return {**vars(timing), **peaks}


class _Side:
    """A process that builds a run, and makes it whenever it is asked."""

    def __init__(self, build: Build) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        threads = torch.get_num_threads()
        self._process = context.Process(target=_serve, args=(theirs, build, threads), daemon=True)
        self._process.start()

    def asked(self) -> Answered:
        self._pipe.send(True)
        answer = self._pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return Answered([torch.from_numpy(x) for x in answer[0]], *answer[1:])

    def end(self) -> None:
        self._pipe.send(False)
        self._process.join(timeout=30)


def _serve(pipe: Connection, build: Build, threads: int) -> None:
    torch.set_num_threads(threads)
    run, repeats = None, 1
    while pipe.recv():
        try:
            run = run or build()
            answer = _clocked(run, repeats)
            repeats = max(1, round(_LEAST / answer[1]))
            pipe.send(answer)
        except Exception as error:  # the other process says which question it was
            pipe.send(f"{type(error).__name__}: {error}")


def _clocked(run: Run, repeats: int) -> tuple[list[Any], float, float, float]:
    synchronize()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        found = run()
    synchronize()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    arrays = [x.detach().float().cpu().numpy() for x in found]
    return arrays, cpu / repeats, wall / repeats, peak()


def peak() -> float:
    """Return the peak memory in MB: of the CUDA device if it is used, else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024  # that of getrusage begins with the parent's

"""One process's share of the work under ``torchrun``."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["PATIENCE", "Shard", "joined_shard"]

PATIENCE = 600.0  # seconds to wait for a process that doesn't answer
_SETTLING = 0.1  # seconds in which gloo's threads let go of their last tensors


@dataclass(frozen=True)
class Shard:
    """A process's share: every ``world``-th item, from ``rank`` on."""

    rank: int = 0
    world: int = 1

    @staticmethod
    def current() -> Shard:
        """Return the share under torch.distributed, all of it without."""
        if dist.is_available() and dist.is_initialized():
            return Shard(dist.get_rank(), dist.get_world_size())
        return Shard()

    def owns(self, number: int) -> bool:
        """Return whether an item is this process's."""
        return number % self.world == self.rank

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over all processes, on each of them."""
        if self.world == 1:
            return value
        device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
        total = value.to(device, copy=True)
        with self._together():
            dist.all_reduce(total)
        return total.to(value.device)

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, in order of rank, on each of them."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        with self._together():
            dist.all_gather_object(found, value)
        return found

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError(
                f"expected all {self.world} processes of the run to meet, and process {self.rank} "
                "waited in vain: another one has died, or didn't answer in time. Its own output "
                "says why. What was checkpointed is kept: start the same command again, or, if a "
                f"process was only slow, with more patience ({error})"
            ) from error


def joined_shard(device: torch.device, patience: float = PATIENCE) -> Shard:
    """Join the other processes that torchrun started, if there are any, and return the share.

    The group stays for the life of the process: torchrun's own store doesn't take a second one. A
    process that dies ends the run with an error; so does one that the others, done with their
    share, have waited for this many seconds. Of a group that is there already, the time is its own.
    """
    if not patience > 0:
        raise ValueError(f"expected patience as a positive number of seconds, got {patience}")
    started = int(os.environ.get("WORLD_SIZE", "1")) > 1 and dist.is_available()
    if started and not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=patience))
        atexit.register(_leave)
    return Shard.current()


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
    # A thread of gloo's that lets go of a tensor while the interpreter shuts down aborts all of it.
    time.sleep(_SETTLING)

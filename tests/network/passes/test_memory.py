"""Memory is kept between blocks, and given back."""

from __future__ import annotations

import platform
import resource
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from captum_influence import DistributionalInfluence
from captum_influence.attr import Execution
from captum_influence.network.passes.memory import freed_memory_kept

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's allocator")
MB = 2**20


def _faults(tensors: int = 6) -> float:
    """Return the page faults of taking and freeing 40 MB several times, per page of the tensors."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(tensors):
        torch.ones(40 * MB // 4)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return faults * resource.getpagesize() / (tensors * 40 * MB)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@glibc
def test_freed_memory_is_taken_again() -> None:
    with freed_memory_kept():
        _faults()
        assert _faults() < 0.25


@glibc
def test_it_goes_back_to_the_system_after_the_last_user() -> None:
    before = _resident()
    with freed_memory_kept(), freed_memory_kept():
        torch.ones(400 * MB // 4)
        assert _resident() - before > 300 * MB
    assert _resident() - before < 100 * MB


def test_errors_and_threads_leave_the_usual_state() -> None:
    def fail() -> None:
        with pytest.raises(KeyError), freed_memory_kept():
            raise KeyError

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    from captum_influence.network.passes import memory as pooling

    assert pooling._users == 0


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captum_influence.network.passes.memory._glibc", lambda: None)
    with freed_memory_kept():
        assert torch.ones(3).sum() == 3


def test_results_are_the_same_to_the_bit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    x = torch.randn(2, 3, 8, 8)

    def found(pooled: bool) -> Tensor:
        execution = Execution(pooled=pooled)
        return DistributionalInfluence(model, "0", execution=execution).attribute(x, target=1)

    assert torch.equal(found(True), found(False))

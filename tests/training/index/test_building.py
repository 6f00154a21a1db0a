"""A build that is killed goes on from its last shard, and two processes build what one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("index_run.py")
sys.path.insert(0, str(SCRIPT.parent))

import index_run  # noqa: E402  # its folder has to be on the path first

sys.path.pop(0)


def _environment() -> dict[str, str]:
    root = str(SCRIPT.parents[3])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def _wanted() -> torch.Tensor:
    return index_run.influence().influence(index_run.problem()[2])


def test_a_killed_build_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path), "0.03"], env=_environment()
    )
    until = time.monotonic() + 100
    while not list(tmp_path.glob("shard-*-000001.safetensors")) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    written = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("shard-*")}
    assert 2 <= len(written) < 5
    index = index_run.index(tmp_path)
    assert len(list(tmp_path.glob("shard-*"))) == 5
    assert all((tmp_path / name).stat().st_mtime_ns == t for name, t in written.items())
    torch.testing.assert_close(index.scores(index_run.problem()[2]), _wanted())


def test_a_shard_that_is_lost_is_written_again(tmp_path: Path) -> None:
    index_run.index(tmp_path)
    sorted(tmp_path.glob("shard-*"))[-1].unlink()
    index = index_run.index(tmp_path)
    assert index.examples == index_run.EXAMPLES
    torch.testing.assert_close(index.scores(index_run.problem()[2]), _wanted())


@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_two_processes_build_what_one_does(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(SCRIPT), str(tmp_path), "0"],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name[:10] for path in tmp_path.glob("shard-*")} == {"shard-0of2", "shard-1of2"}
    before = {path.name for path in tmp_path.iterdir()}
    index = index_run.index(tmp_path)  # opened by one
    assert {path.name for path in tmp_path.iterdir()} == before
    torch.testing.assert_close(index.scores(index_run.problem()[2]), _wanted())

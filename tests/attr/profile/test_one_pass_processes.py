"""A pass that several processes share, that is killed outright, or that loses a process."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import profiled
import pytest

from captum_influence import (
    DistributionalInfluence,
    InfluenceProfile,
    Noise,
    Point,
)

SCRIPT = """
    import os
    import sys
    sys.path.insert(0, {tests!r})
    import torch
    torch.set_num_threads(1)
    import profiled
    from captum_influence import DistributionalInfluence, InfluenceProfile, Noise

    influence = DistributionalInfluence(profiled.model(), ["1", "3"], distribution=Noise(0.3, 40))
    # a second pass finds the group
    InfluenceProfile.over(influence, [next(iter(profiled.loader(2)))])
    profile = InfluenceProfile.over(
        influence,
        profiled.loader(2),
        group_by="label",
        checkpoint={checkpoint!r},
        checkpoint_every=1,
    )
    if os.environ.get("RANK", "0") == "0":
        profile.save({out!r})
"""


def _script(tmp_path: Path) -> tuple[Path, Path, Path]:
    checkpoint, out, script = tmp_path / "checkpoint", tmp_path / "out", tmp_path / "run.py"
    tests = str(Path(__file__).parents[2])
    text = SCRIPT.format(tests=tests, checkpoint=str(checkpoint), out=str(out))
    script.write_text(textwrap.dedent(text))
    return checkpoint, out, script


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a word of POSIX")
def test_a_run_killed_outright_is_taken_up(tmp_path: Path) -> None:
    checkpoint, out, script = _script(tmp_path)
    run = subprocess.Popen([sys.executable, str(script)], env=_environment())
    while run.poll() is None and not checkpoint.exists():
        pass
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert checkpoint.exists() or out.exists()
    subprocess.run([sys.executable, str(script)], env=_environment(), check=True)
    influence = DistributionalInfluence(profiled.model(), ["1", "3"], distribution=Noise(0.3, 40))
    whole = InfluenceProfile.over(influence, profiled.loader(2), group_by="label")
    assert profiled.same(whole, InfluenceProfile.load(out))


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_pass(tmp_path: Path, processes: int) -> None:
    _, out, script = _script(tmp_path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, f"--nproc-per-node={processes}", str(script)],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    influence = DistributionalInfluence(profiled.model(), ["1", "3"], distribution=Noise(0.3, 40))
    whole = InfluenceProfile.over(influence, profiled.loader(2), group_by="label")
    assert profiled.same(whole, InfluenceProfile.load(out), tolerance=1e-12)


# A process that dies ------------------------------------------------------------------------------

FATE = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import profiled
from captum_influence import DistributionalInfluence, InfluenceProfile, Point

influence = DistributionalInfluence(profiled.model(), ["1", "3"], distribution=Point())
fates = {{
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "gone": lambda: os._exit(0),
    "stuck": lambda: time.sleep(600),
}}


def met(images, labels):
    met.batches += 1
    if met.batches == 3 and os.environ["RANK"] == "1" and "FATE" in os.environ:
        fates[os.environ["FATE"]]()
    return labels.tolist()


met.batches = 0
profile = InfluenceProfile.over(
    influence,
    profiled.shuffled(int(os.environ["RANK"]) + len(os.environ.get("FATE", ""))),
    group_by=met,
    checkpoint={checkpoint!r},
    checkpoint_every=int(os.environ.get("EVERY", 1)),
    patience=float(os.environ.get("PATIENCE", 60)),
)
if os.environ["RANK"] == "0":
    profile.save({out!r})
"""


def _fate(tmp_path: Path) -> tuple[Path, Path]:
    out, script = tmp_path / "out", tmp_path / "run.py"
    checkpoint = str(tmp_path / "checkpoint")
    tests = str(Path(__file__).parents[2])
    script.write_text(FATE.format(tests=tests, checkpoint=checkpoint, out=str(out)))
    return out, script


def _two(script: Path, **words: str) -> list[subprocess.Popen[str]]:
    """Two processes as a cluster starts them: nobody watches over both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **words}
    return [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**_environment(), **group, "RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fate", "every"), [("killed", "1"), ("gone", "100"), ("stuck", "1")], ids=str
)
def test_the_others_say_what_happened_in_time_and_go_on_from_there(
    tmp_path: Path, fate: str, every: str
) -> None:
    out, script = _fate(tmp_path)
    first, second = _two(script, FATE=fate, EVERY=every, PATIENCE="3")
    try:
        _, said = first.communicate(timeout=60)  # a machine under load starts slowly
    finally:
        second.kill()
        second.communicate()
    assert first.returncode == 1
    assert "expected all 2 processes of the run to meet, and process 0 waited in vain" in said
    assert "What was checkpointed is kept" in said
    assert not out.exists()
    kept = {path.name for path in tmp_path.glob("checkpoint.*")}
    # who got through keeps all of its share; who dies, up to its last checkpoint
    assert kept == {"checkpoint.0of2", *(["checkpoint.1of2"] if every == "1" else [])}
    both = _two(script)
    said = "".join(process.communicate(timeout=60)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    influence = DistributionalInfluence(profiled.model(), ["1", "3"], distribution=Point())
    whole = InfluenceProfile.over(influence, profiled.loader(3), group_by="label")
    assert profiled.same(whole, InfluenceProfile.load(out), tolerance=1e-12)
    assert not list(tmp_path.glob("checkpoint.*"))


@pytest.mark.slow
def test_torchrun_fails_with_a_process_that_was_killed(tmp_path: Path) -> None:
    out, script = _fate(tmp_path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node=2", str(script)],
        env={**_environment(), "FATE": "killed"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "SIGKILL" in done.stderr
    assert (tmp_path / "checkpoint.1of2").exists()
    assert not out.exists()

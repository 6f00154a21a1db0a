"""Subcommands, and how whatever goes wrong is told."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from captum_influence import __version__
from captum_influence.cli.commands import explain
from captum_influence.cli.options import OutputOptions
from captum_influence.cli.program import COMMANDS, main, parsed

ROOT = Path(__file__).resolve().parents[2]
# The libraries that the lowest Python gets warn of themselves.
STERN = ("-W", "error") if sys.version_info >= (3, 11) else ()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_help_with_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: captum-influence {name} ")
    assert f"  captum-influence {name}" in out.partition("examples:")[2]


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]])
def test_help_and_version_end_well(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith(__version__) or all(name in out for name in COMMANDS)


def test_a_run_knows_its_words() -> None:
    _, groups = parsed(["explain", "--out", "on the way"])
    (output,) = (group for group in groups if isinstance(group, OutputOptions))
    assert output.subcommand == "explain"
    assert output.command == "captum-influence explain --out 'on the way'"


@pytest.mark.parametrize("word", ["frobnicate", "--frobnicate", "expl"])
def test_an_unknown_subcommand_is_told_in_one_line(word: str, fails) -> None:
    assert word in fails([word])


def test_options_are_not_abbreviated(fails) -> None:
    assert "--lay" in fails("explain --lay relu5")


@pytest.mark.parametrize("error", [KeyError("x"), AttributeError("no attribute"), AssertionError()])
def test_whatever_a_users_network_raises_is_one_line(
    own: list[str], fails, error: Exception
) -> None:
    Path("nets.py").write_text(f"def build():\n    raise {error!r}\n")
    message = fails(own)
    assert type(error).__name__ in message


def test_debug_shows_the_traceback(own: list[str]) -> None:
    with pytest.raises(ValueError, match="no layer named"):
        main([*own, "--layer", "nope", "--debug"])


def test_an_interruption_has_a_status_of_its_own(
    own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("nets.py").write_text("def build():\n    raise KeyboardInterrupt\n")
    assert main(own) == 130
    assert capsys.readouterr() == ("", "")


def test_the_program_runs_by_itself(own: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *STERN, "-m", "captum_influence.cli", *own, "--layer", "nope"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("captum-influence: error: the network has no layer named 'nope'")


STRANGE = """
import torch

class Odd(Exception):
    def __str__(self):
        raise ValueError("no words")

class Strange(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls > CALLS:
            raise ERROR
        return self.layers(x).mean((2, 3))

def build():
    return Strange()
"""


@pytest.mark.parametrize("calls", [0, 1])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("ValueError('boom')", "boom"),
        ("KeyError('boom')", "KeyError: 'boom'"),
        ("AssertionError()", "AssertionError"),
        ("RecursionError('too deep')", "too deep"),
        ("MemoryError()", "MemoryError"),
        ("StopIteration()", "StopIteration"),
        ("Odd()", ""),
        ("BaseException('other')", "BaseException: other"),
        ("GeneratorExit('stop')", "GeneratorExit: stop"),
        ("SystemExit(5)", "sys.exit(5)"),
        ("ValueError('two\\nlines ' + 'x' * 5000)", "two lines"),
    ],
)
def test_whatever_a_forward_raises_is_one_line(
    own: list[str], fails, error: str, said: str, calls: int
) -> None:
    text = STRANGE.replace("CALLS", str(calls)).replace("ERROR", error)
    Path("strange.py").write_text(text)
    words = ["explain", "--model", "strange.py:build", *own[own.index("--image") :]]
    message = fails([*words, "--layer", "layers.1"])
    assert said in message
    assert len(message) < 2500


def test_a_full_output_is_told(own: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is Linux's")
    words = [word for word in own if word != "--quiet"]
    with open("/dev/full", "w") as full:  # noqa: PTH123  # no file that Path could open better
        done = subprocess.run(
            [sys.executable, "-m", "captum_influence.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("captum-influence: error: [Errno 28]")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 8 GiB")])
def test_too_little_memory_has_a_cure(
    own: list[str], fails, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(explain, "explain", Mock(side_effect=error))
    assert "a smaller --size, --batch-size or --points" in fails(own)


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        ("KeyboardInterrupt", 130, ""),
        ("ImportError('no torch here')", 2, "ImportError: no torch here; install them again"),
        ("OSError('libtorch_cpu.so')", 2, "OSError: libtorch_cpu.so"),
    ],
)
def test_what_stops_the_loading_is_no_traceback(
    tmp_path: Path, raised: str, status: int, said: str
) -> None:
    (tmp_path / "torch.py").write_text(f"raise {raised}\n")
    done = _started(["explain"], [tmp_path])
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == bool(said)


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
)
def test_help_loads_no_torch(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('too slow')\n")
    assert _started(words, [tmp_path]).returncode == 0


def _started(words: list[str], places: list[Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "captum_influence.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*places, ROOT]))},
    )

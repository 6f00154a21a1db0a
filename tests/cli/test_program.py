"""Subcommands, and how whatever goes wrong is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from captum_influence import __version__
from captum_influence.cli.options import OutputOptions
from captum_influence.cli.program import COMMANDS, main, parsed

ROOT = Path(__file__).resolve().parents[2]


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
        [sys.executable, "-W", "error", "-m", "captum_influence.cli", *own, "--layer", "nope"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("captum-influence: error: the network has no layer named 'nope'")

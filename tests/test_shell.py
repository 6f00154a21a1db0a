"""What the installed program starts with: an interruption while it loads is no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import captum_influence_shell
from captum_influence.cli import program

ROOT = Path(__file__).resolve().parents[1]
START = "import sys; from captum_influence_shell import main; sys.exit(main())"


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
    done = subprocess.run(
        [sys.executable, "-c", START, "explain"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == bool(said)


def test_it_hands_on_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "main", lambda: 7)
    assert captum_influence_shell.main() == 7


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(captum_influence_shell.importlib, "import_module", broken)
    assert captum_influence_shell.main() == 2
    monkeypatch.setattr(sys, "argv", ["captum-influence", "--debug"])
    with pytest.raises(ImportError, match=r"captum_influence\.cli\.program"):
        captum_influence_shell.main()

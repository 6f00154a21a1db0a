"""The script that a shell completes from."""

import shutil
import subprocess
import sys

import pytest

from captum_influence.cli.completion import SHELLS
from captum_influence.cli.program import COMMANDS, main


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_subcommands_and_options(shell: str, capsys) -> None:
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    assert end.value.code == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    assert "checkpoint" in script


def test_bash_completes_with_it(capsys) -> None:
    pytest.importorskip("shtab")
    if shutil.which("bash") is None:
        pytest.skip("no bash on the path")
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    ask = """
COMP_WORDS=(captum-influence profile --che); COMP_CWORD=2
"$(complete -p captum-influence | grep -o "[^ ]* captum-influence$" | cut -d" " -f1)"
echo "${COMPREPLY[@]}"
"""
    text = capsys.readouterr().out + ask
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--checkpoint"]


def test_without_shtab_the_extra_is_named(fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert "captum_influence[completion]" in fails("--print-completion bash")

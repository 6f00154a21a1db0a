"""README's code runs, and its commands are where .ci/run looks for them."""

import re
import shlex
from pathlib import Path

import pytest

from captum_influence.cli.program import parsed

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _marked(name: str) -> str:
    found = re.search(rf"^<!-- {name} -->\n```\w+\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"README has no block marked {name}"
    return found.group(1)


def test_ten_lines_run() -> None:
    names: dict = {}
    exec(_marked("python"), names)
    assert [tuple(names[n].shape[:2]) for n in ("conv2", "conv3", "conv5")] == [
        (1, 32),
        (1, 48),
        (1, 96),
    ]


@pytest.mark.parametrize("name", ["main-job", "tests"])
def test_commands_install_with_the_tested_versions(name: str) -> None:
    assert "pip install -c constraints.txt" in _marked(name)
    assert f"readme {name} " in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), f"{path} is shown, but isn't there"


def test_commands_take_what_they_are_given() -> None:
    """The photo is the reader's; names of classes come with the weights."""
    lines = README.replace("\\\n", " ")
    commands = re.findall(r"(?:^|&& )(?:\.venv/bin/)?captum-influence (.*)$", lines, re.MULTILINE)
    assert len(commands) == 3
    for words in map(shlex.split, commands):
        name, _ = parsed(words)
        files = [word for word in words if "." in word]
        assert (name, files) in [("explain", []), ("explain", ["photo.jpg"])]
    assert "pip install -c constraints.txt torchvision" in README

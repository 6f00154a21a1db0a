"""The page of errors: each call raises what the page says, and each cure runs."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "troubleshooting.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START, *SECTIONS = re.split(r"^### ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
TITLES = {section.partition("\n")[0]: section for section in SECTIONS}


def _code(text: str) -> list[str]:
    return [content for _, content in BLOCK.findall(text)]


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's first lines define, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in _code(START):
        exec(code, names)
    return names


@pytest.mark.parametrize("title", TITLES)
def test_it_is_raised_and_the_cure_runs(title: str, known: dict[str, Any]) -> None:
    asked, message, cure = _code(TITLES[title])
    pattern = re.escape(message.strip()).replace("…", ".*")
    with pytest.raises((ValueError, TypeError, RuntimeError)) as raised:
        exec(asked, known)
    assert re.fullmatch(pattern, str(raised.value), re.DOTALL)
    exec(cure, known)


def test_there_are_a_dozen() -> None:
    assert len(TITLES) >= 12

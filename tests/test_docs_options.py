"""docs/_ext/options.py puts every option of the shell into the reference."""

import importlib.util
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from captum_influence.cli.program import COMMANDS

pytest.importorskip("docutils", reason="the docs need the extra [docs]")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def options() -> Any:
    spec = importlib.util.spec_from_file_location("options", ROOT / "docs" / "_ext" / "options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_in_the_docs(options: Any, name: str) -> None:
    purpose, groups = options.subcommands()[name]
    assert purpose == COMMANDS[name].purpose
    shown = {row[0].split()[0]: row[1] for group in groups for row in group.rows}
    for group, written in zip(COMMANDS[name].groups, groups, strict=True):
        own = [f for f in fields(group) if "flags" in f.metadata]
        assert written.title == group.title
        assert [row[0].split()[0] for row in written.rows] == [f.metadata["flags"][0] for f in own]
        for f in own:
            assert shown[f.metadata["flags"][0]] == f.metadata["how"]["help"].replace("%%", "%")


def test_the_page_has_the_tables(options: Any) -> None:
    assert "{option-tables}" in (ROOT / "docs/reference/cli.md").read_text("utf-8")
    section = options.OptionTables.run(None)[0]
    assert section.astext().startswith("explain")
    assert "--print-completion" in (ROOT / "docs/reference/cli.md").read_text("utf-8")

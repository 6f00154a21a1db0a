"""Every notebook is kept with what it showed, claims something, and is listed in the docs.

They run in the docs build, once: ``nb_execution_mode = "force"`` in docs/conf.py. A claim that no
longer holds fails it.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return cells


def _code(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in _cells(path) if cell["cell_type"] == "code"]


def test_all_are_listed_in_the_docs() -> None:
    listed = re.findall(
        r"^tutorials/(\w+)$", (ROOT / "docs/tutorials.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == [path.stem for path in NOTEBOOKS]


def test_the_docs_build_runs_them_and_stops_at_an_error() -> None:
    settings = (ROOT / "docs" / "conf.py").read_text()
    assert 'nb_execution_mode = "force"' in settings
    assert "nb_execution_raise_on_error = True" in settings
    assert "sphinx-build -W -q -b html" in (ROOT / ".ci" / "run").read_text()


@each_notebook
def test_named_as_captum_names_its_own(path: Path) -> None:
    assert re.fullmatch(r"[A-Z]\w*_[A-Z]\w*_[A-Z]\w*", path.stem), "Dataset_Library_Purpose"


@each_notebook
def test_kept_with_small_outputs(path: Path) -> None:
    outputs = [output for cell in _code(path) for output in cell["outputs"]]
    assert any("image/jpeg" in output.get("data", {}) for output in outputs)
    assert not any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output["output_type"] == "error" for output in outputs)
    assert not any(cell["execution_count"] for cell in _code(path))
    assert path.stat().st_size < 1_000_000


@each_notebook
def test_claims_are_assertions(path: Path) -> None:
    claims = [cell for cell in _code(path) if "claim" in cell["metadata"].get("tags", ())]
    assert claims
    assert all("assert" in "".join(cell["source"]) for cell in claims)


@each_notebook
def test_shows_how_to_switch_to_a_network_and_a_photo_of_your_own(path: Path) -> None:
    told = "\n".join("".join(c["source"]) for c in _cells(path) if c["cell_type"] == "markdown")
    assert re.search(r'^loaded = load_model\("torchvision:\w+", weights="DEFAULT"\)', told, re.M)
    assert re.search(r'^image = loaded\.preprocessing\(read_picture\("photo\.jpg"\)\)', told, re.M)

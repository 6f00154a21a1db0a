"""Every notebook runs from top to bottom, claims included, and is kept without outputs."""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_kept_without_outputs_and_with_claims(path: Path) -> None:
    cells = _cells(path)
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    claims = [cell for cell in cells if "claim" in cell["metadata"].get("tags", ())]
    assert claims
    assert all("assert" in "".join(cell["source"]) for cell in claims)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    backend = matplotlib.get_backend()
    matplotlib.use("Agg")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    try:
        for cell in _cells(path):
            source = "".join(cell["source"])
            exec(compile(source, f"{path.name}, {cell['id']}", "exec"), namespace)
    finally:
        matplotlib.pyplot.close("all")
        matplotlib.use(backend)

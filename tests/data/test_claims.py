"""A run takes a folder without touching it, and only one that is its own to write to."""

import json
import os
from pathlib import Path

import pytest
import torch

from captum_influence.data.claims import claim, holds_report, staged
from captum_influence.data.files import write_tensors, write_text

KIND = "captum_influence.Essence"
NAMES = ("report.html", "essence.json", "essence.safetensors", "figures")


def _claim(folder: Path) -> Path:
    return claim(folder, NAMES, "essence.json", KIND)


def _earlier(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "essence.json").write_text(json.dumps({"format": KIND}))
    (folder / "report.html").write_text("a page")
    (folder / "figures").mkdir(exist_ok=True)


def test_a_folder_is_claimed_before_it_is_made(tmp_path: Path) -> None:
    assert _claim(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []
    assert claim(str(tmp_path / "a"), NAMES, "essence.json", KIND) == tmp_path / "a"


def test_a_folder_with_other_things_in_it_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert _claim(tmp_path) == tmp_path
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_an_earlier_run_s_folder_is_claimed_again(tmp_path: Path) -> None:
    _earlier(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert _claim(tmp_path) == tmp_path
    assert sorted(tmp_path.rglob("*")) == before


def test_an_earlier_run_s_report_can_be_kept(tmp_path: Path) -> None:
    assert claim(tmp_path, NAMES, "essence.json", KIND, keep=True) == tmp_path
    assert not holds_report(tmp_path, "essence.json", KIND)
    _earlier(tmp_path)
    assert holds_report(tmp_path, "essence.json", KIND)
    with pytest.raises(ValueError, match="holds an earlier run's: add --force"):
        claim(tmp_path, NAMES, "essence.json", KIND, keep=True)


def test_the_folder_of_a_run_that_failed_midway_is_claimed_again(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    write_tensors(tmp_path / "essence.safetensors", "essence", {}, {"a": torch.ones(1)})
    assert _claim(tmp_path) == tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_what_somebody_else_wrote_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"format": "captum_influence.Pair"}')
    with pytest.raises(ValueError, match=rf"whose {name} this program didn't write: choose"):
        _claim(tmp_path)
    assert (tmp_path / name).read_text() == '{"format": "captum_influence.Pair"}'


@pytest.mark.parametrize("content", ["[1]", '{"format": 3}', "", "\x00\xff", f'"{KIND}"'])
def test_json_that_says_something_else_is_somebody_else_s(tmp_path: Path, content: str) -> None:
    (tmp_path / "essence.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"whose essence\.json this program didn't write"):
        _claim(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"expected a folder as --out, got .* is a file"):
            _claim(place)


def test_a_folder_that_is_read_only_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(ValueError, match="is read-only"):
        _claim(tmp_path / "new")


def _write(folder: Path, *names: str) -> None:
    with staged(folder) as partial:
        for name in names:
            write_text(partial / name, f"new {name}")


def test_files_take_their_places_together(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    _write(folder, "page.html", "figures/1.png", "figures/2.png")
    (folder / "figures" / "notes.txt").write_text("mine")
    _write(folder, "page.html", "figures/1.png")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"page.html", "figures/1.png", "figures/notes.txt"}  # the second was stale
    assert (folder / "page.html").read_text() == "new page.html"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("there", [True, False])
def test_what_fails_midway_leaves_things_as_they_were(
    tmp_path: Path, error: BaseException, there: bool
) -> None:
    folder = tmp_path / "a" / "b"
    if there:
        _write(folder, "page.html")
        (folder / "page.html").write_text("old")

    def write() -> None:
        with staged(folder) as partial:
            (partial / "page.html").write_text("half")
            raise error

    with pytest.raises(type(error)) as raised:
        write()
    if isinstance(error, OSError):
        assert "No space left on device: nothing was written; make room" in str(raised.value)
    if there:
        assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("page.html", "old")]
    else:
        assert list(tmp_path.iterdir()) == []

"""Files are written whole or not at all, and foreign ones are refused."""

from pathlib import Path

import pytest
import torch

from captum_influence.data import files as archive

pytest.importorskip("safetensors")
TENSORS = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor(3, dtype=torch.int64)}


def test_what_is_saved_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.safetensors"
    archive.save(path, "profile", {"layers": ["x"], "n": 2}, TENSORS)
    header, tensors = archive.load(path, "profile")
    assert header == {"layers": ["x"], "n": 2}
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert [p.name for p in path.parent.iterdir()] == ["file.safetensors"]


@pytest.mark.parametrize("keep", [0, 7, 60, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "file"
    archive.save(path, "profile", {}, TENSORS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        archive.load(path, "profile")


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    archive.save(path, "checkpoint", {}, TENSORS)
    with pytest.raises(ValueError, match="expected a saved profile"):
        archive.load(path, "profile")


def test_a_later_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    monkeypatch.setattr(archive, "_VERSION", 99)
    archive.save(path, "profile", {}, TENSORS)
    monkeypatch.setattr(archive, "_VERSION", 1)
    with pytest.raises(ValueError, match="version 99"):
        archive.load(path, "profile")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    archive.save(path, "profile", {"n": 1}, TENSORS)
    with pytest.raises(TypeError):
        archive.save(path, "profile", {"n": object()}, TENSORS)
    assert archive.load(path, "profile")[0] == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1

"""Files are written whole or not at all; what isn't what was written is refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from captum_influence.data import files
from captum_influence.data.files import (
    kind_of,
    read_tensors,
    write_bytes,
    write_json,
    write_tensors,
    write_text,
)

safetensors = pytest.importorskip("safetensors.torch")

TENSORS = {
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "whole numbers": torch.tensor(3, dtype=torch.int64),
    "half": torch.randn(3).to(torch.bfloat16),
    "yes or no": torch.tensor([True, False]),
    "nothing": torch.zeros(0, 4),
}


def _written(tmp_path: Path, kind: str = "profile", **header: Any) -> Path:
    return write_tensors(tmp_path / "file.safetensors", kind, header, TENSORS)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = _written(tmp_path / "new" / "folder", layers=["x"], n=2)
    header, tensors = read_tensors(path, "profile")
    assert header == {"layers": ["x"], "n": 2}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert kind_of(path) == "profile"


def test_tensors_that_share_memory_are_written_each(tmp_path: Path) -> None:
    whole = torch.arange(4.0)
    path = write_tensors(tmp_path / "file", "x", {}, {"whole": whole, "part": whole[1:]})
    assert torch.equal(read_tensors(path, "x")[1]["part"], whole[1:])


def test_one_number_out_of_a_larger_tensor_is_written(tmp_path: Path) -> None:
    one = torch.arange(60.0).view(1, 60)[:, -1]  # contiguous, and of a stride of 60
    write_tensors(tmp_path / "a.safetensors", "finding", {}, {"one": one})
    assert torch.equal(read_tensors(tmp_path / "a.safetensors", "finding")[1]["one"], one)


@pytest.mark.parametrize("keep", [0, 7, 60, 400, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    path = _written(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"expected a saved profile in .* cut off, damaged or"):
        read_tensors(path, "profile")


@pytest.mark.parametrize("place", [0.1, 0.3, 0.6, 0.99])
def test_a_file_with_a_changed_byte_is_refused(tmp_path: Path, place: float) -> None:
    path = _written(tmp_path, layers=["relu4", "relu5"])
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected"):
        read_tensors(path, "profile")


def _pickle(path: Path) -> None:
    torch.save({"a": torch.ones(2)}, path)


def _npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.ones(2))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("dear diary"),
        _pickle,
        _npz,
        lambda path: safetensors.save_file({"a": torch.ones(2)}, path),
        lambda path: safetensors.save_file({"a": torch.ones(2)}, path, {"kind": "another's"}),
    ],
    ids=["text", "pickle", "npz", "safetensors", "safetensors with a kind"],
)
def test_a_file_of_another_program_is_refused(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "file")
    with pytest.raises(ValueError, match="expected a saved profile"):
        read_tensors(tmp_path / "file", "profile")
    assert kind_of(tmp_path / "file") is None


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path, "checkpoint")
    with pytest.raises(ValueError, match=r"a saved profile .* got captum_influence\.checkpoint"):
        read_tensors(path, "profile")


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(files, "_VERSION", 99)
        path = _written(tmp_path)
    with pytest.raises(ValueError, match="got version 99: write it again"):
        read_tensors(path, "profile")


def test_no_file_is_no_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "absent", "profile")
    assert kind_of(tmp_path / "absent") is None


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_tensors(path, "kind", {"n": object()}, TENSORS),
        lambda path: write_tensors(path, "kind", {}, {"a": "no tensor"}),
        lambda path: write_json(path, {"n": float("nan")}),
        lambda path: write_bytes(path, "text"),
    ],
)
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, write: Any) -> None:
    path = write_text(tmp_path / "file", "old")
    with pytest.raises((TypeError, ValueError, AttributeError)):
        write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_written_for_readers(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a" / "file.json", {"größe": [1, None]})
    assert json.loads(path.read_text("utf-8")) == {"größe": [1, None]}
    assert "größe" in path.read_text("utf-8")


def test_without_safetensors_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"captum_influence\[report\]"):
        _written(tmp_path)

"""What weight files may hold, and how they get into a network."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from loaded import agrees
from torch import nn

from captum_influence.network.loading.by_name import load_model
from captum_influence.network.loading.weights import read_state


@pytest.mark.parametrize("nested", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_weights_are_found_however_a_training_script_saved_them(
    file: Path, state: dict[str, torch.Tensor], nested: str | None, prefix: str
) -> None:
    saved: dict[str, Any] = {prefix + key: value for key, value in state.items()}
    torch.save({"epoch": 3, nested: saved} if nested else saved, file.parent / "w.pth")
    assert agrees(load_model(f"{file}:build", file.parent / "w.pth"), state)


def test_safetensors_are_read(file: Path, state: dict[str, torch.Tensor]) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(state, file.parent / "w.safetensors")
    assert agrees(load_model(f"{file}:build", str(file.parent / "w.safetensors")), state)
    (file.parent / "cut.safetensors").write_bytes(
        (file.parent / "w.safetensors").read_bytes()[:-50]
    )
    with pytest.raises(ValueError, match=r"expected a safetensors file, got 'cut\.safetensors'"):
        read_state(file.parent / "cut.safetensors")


class Payload:
    """Runs code when it is unpickled."""

    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Payload, "ran", True)


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        (nn.Linear(2, 2), r"asks for torch\.nn\.modules\.linear\.Linear"),
        ({"state_dict": {}, "args": argparse.Namespace(lr=1)}, r"asks for argparse\.Namespace"),
        ({"state_dict": {"w": torch.ones(1)}, "x": Payload()}, r"asks for .*setattr"),
    ],
)
def test_a_pickle_that_needs_more_is_refused_and_runs_nothing(
    tmp_path: Path, saved: object, reason: str
) -> None:
    torch.save(saved, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=rf"{reason}.*could run code.*torch\.save\(model\.state"):
        read_state(tmp_path / "w.pt")
    assert not Payload.ran


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"'w\.pt'"):
        read_state(tmp_path / "w.pt")
    with pytest.raises(FileNotFoundError, match="expected a file of weights"):
        read_state(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("saved", "came"),
    [
        ({"epoch": 3}, "a dict with the keys epoch"),
        ([torch.ones(1)], "a list"),
        (torch.ones(1), "a Tensor"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, saved: object, came: str) -> None:
    torch.save(saved, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=f"expected a state dict .* got {came}"):
        read_state(tmp_path / "w.pt")


def test_weights_of_another_network_are_listed(file: Path, state: dict[str, torch.Tensor]) -> None:
    del state["1.running_mean"]
    state |= {f"head.{i}": torch.ones(1) for i in range(9)} | {"0.weight": torch.ones(7, 3)}
    torch.save(state, file.parent / "w.pt")
    with pytest.raises(ValueError, match=r"don't fit Net: 1 missing: 1\.running_mean; 9 unex") as e:
        load_model(f"{file}:build", file.parent / "w.pt")
    assert "head.4, ...; 1 of another shape: 0.weight (expected (4, 3), got (7, 3))" in str(e.value)
    assert "head.5" not in str(e.value)

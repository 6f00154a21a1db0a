"""A user's own function: found, run beside its siblings, and named where it is wrong."""

import sys
from pathlib import Path

import pytest
from torch import nn

from captum_influence.network.loading.by_name import load_model


@pytest.mark.parametrize("name", ["build", "instance_maker", "Net", "ready"])
def test_a_file_is_run_beside_its_siblings_and_gives_a_network_in_eval_mode(
    file: Path, name: str
) -> None:
    before = list(sys.path)
    loaded = load_model(f"{file}:{name}")
    assert isinstance(loaded.model, nn.Module)
    assert not loaded.model.training
    assert (loaded.preprocessing, loaded.class_names) == (None, None)
    assert sys.path == before


def test_a_module_in_the_working_folder_is_found(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"package_{abs(hash(str(file)))}"
    (file.parent / package).mkdir()
    (file.parent / package / "nets.py").write_text("import torch\nbuild = torch.nn.Identity\n")
    monkeypatch.chdir(file.parent)
    assert isinstance(load_model(f"{package}.nets:build").model, nn.Identity)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("absent", ValueError, r"expected a function 'absent'.*it has Net, build"),
        ("number", ValueError, r"return a torch\.nn\.Module, got int"),
        ("returns_number", ValueError, r"return a torch\.nn\.Module, got int"),
        ("needs_argument", ValueError, r"without arguments; it raised TypeError"),
        ("broken", ValueError, r"RuntimeError: no GPU here"),
    ],
)
def test_a_wrong_function_is_named(
    file: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_model(f"{file}:{name}")


def test_a_file_or_module_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a Python file"):
        load_model(f"{tmp_path}/absent.py:build")
    (tmp_path / "wrong.py").write_text("def f(:\n")
    with pytest.raises(ImportError, match="SyntaxError"):
        load_model(f"{tmp_path}/wrong.py:f")
    with pytest.raises(ImportError, match=r"No module named 'no_such_module'.*file\.py:function"):
        load_model("no_such_module:f")

"""Networks by name: the spec, a user's own file, and what weight files may hold."""

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from captum_influence.data.picture_files import read_picture
from captum_influence.data.pictures import Preprocessing
from captum_influence.network.loading import LoadedModel, load_model, read_state

NETWORK = """
import torch
from {sibling} import width

class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(3, width), torch.nn.BatchNorm1d(width))

def build():
    return Net()

def instance_maker():
    from {sibling} import width  # imports may come late, too
    return Net()

ready = Net()
number = 3

def returns_number():
    return 3

def needs_argument(x):
    return Net()

def broken():
    raise RuntimeError("no GPU here")
"""


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    sibling = f"sibling_{abs(hash(request.node.name))}"
    (tmp_path / f"{sibling}.py").write_text("width = 4\n")
    (tmp_path / "net.py").write_text(NETWORK.format(sibling=sibling))
    return tmp_path / "net.py"


@pytest.fixture
def state(file: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    return {key: torch.rand_like(value.float()) for key, value in model.state_dict().items()}


def agrees(loaded: LoadedModel, state: dict[str, torch.Tensor]) -> bool:
    own = loaded.model.state_dict()
    return all(torch.equal(own[k], v) for k, v in state.items() if "num_batches" not in k)


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


def test_a_function_may_hand_over_preprocessing_and_names(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "from captum_influence.network.loading import LoadedModel\n"
        "def build():\n"
        "    return LoadedModel(torch.nn.Identity(), None, ('a', 'b'))\n"
    )
    assert load_model(f"{tmp_path / 'own.py'}:build").class_names == ("a", "b")


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


@pytest.mark.parametrize("spec", ["resnet18", "file.py:", ":build", ""])
def test_a_spec_without_source_or_name_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="torchvision:NAME"):
        load_model(spec)


def test_a_file_or_module_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a Python file"):
        load_model(f"{tmp_path}/absent.py:build")
    (tmp_path / "wrong.py").write_text("def f(:\n")
    with pytest.raises(ImportError, match="SyntaxError"):
        load_model(f"{tmp_path}/wrong.py:f")
    with pytest.raises(ImportError, match=r"No module named 'no_such_module'.*file\.py:function"):
        load_model("no_such_module:f")


# ------------------------------------------------------------------------------------- weights


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


# ---------------------------------------------------------------------------------- libraries


def test_torchvisions_published_weights_bring_transforms_and_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = pytest.importorskip("torchvision.models", exc_type=ImportError)
    torch.manual_seed(0)
    state = models.squeezenet1_1().state_dict()
    fetched = []
    weights = models.SqueezeNet1_1_Weights

    def fetch(self: Any, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        fetched.append(self)
        return state

    monkeypatch.setattr(weights, "get_state_dict", fetch)
    for name in ("DEFAULT", "IMAGENET1K_V1"):
        loaded = load_model("torchvision:squeezenet1_1", name)
        assert agrees(loaded, state)
        assert loaded.preprocessing.size == 224
        assert loaded.preprocessing.mean == (0.485, 0.456, 0.406)
        assert (len(loaded.class_names), loaded.class_names[817]) == (1000, "sports car")
    assert fetched == [weights.DEFAULT] * 2

    def offline(self: Any, *args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(weights, "get_state_dict", offline)
    with pytest.raises(RuntimeError, match=r"couldn't be fetched \(no route to host\)"):
        load_model("torchvision:squeezenet1_1", "DEFAULT")


def test_torchvisions_networks_take_weight_files(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models", exc_type=ImportError)
    state = models.squeezenet1_1(num_classes=1000).state_dict()
    torch.save(state, tmp_path / "w.pt")
    loaded = load_model("torchvision:squeezenet1_1", tmp_path / "w.pt")
    assert agrees(loaded, state)
    assert loaded.preprocessing is None
    torch.save(models.squeezenet1_1(num_classes=10).state_dict(), tmp_path / "ten.pt")
    with pytest.raises(ValueError, match=r"classifier\.1\.bias.*another number of classes"):
        load_model("torchvision:squeezenet1_1", tmp_path / "ten.pt")
    with pytest.raises(
        ValueError, match=r"which torchvision .* doesn't have: did you mean resnet1"
    ):
        load_model("torchvision:resnet19")
    with pytest.raises(ValueError, match=r"one of \['IMAGENET1K_V1', "):
        load_model("torchvision:squeezenet1_1", "IMAGENET1K_V9")


def test_a_real_network_knows_real_pictures(shared_data: Path) -> None:
    """The files' names are the truth; SqueezeNet 1.0 was published with 80 % among its first 5."""
    pytest.importorskip("torchvision.models", exc_type=ImportError)
    for library in ("safetensors", "PIL"):
        pytest.importorskip(library)
    folder = shared_data / "imagenet"
    loaded = load_model("torchvision:squeezenet1_0", folder / "squeezenet1_0.safetensors")
    files = sorted((folder / "images").glob("*.jpg"))[::8]
    truth = torch.tensor([[int(file.name[:4])] for file in files])

    def right(**fields: Any) -> float:
        prepare = Preprocessing(227, value_range=255, **fields)
        inputs = torch.cat([prepare(read_picture(file)) for file in files])
        with torch.no_grad():
            first = loaded.model(inputs).topk(5).indices
        return float((first == truth).any(dim=1).float().mean())

    bgr = right(mean=(104, 117, 123), channel_order="bgr")
    assert bgr > 0.65
    assert bgr > right(mean=(123, 117, 104))  # colours the wrong way round


def test_an_absent_or_unfit_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match="timm"):
        load_model("timm:resnet18")


def test_timm_brings_its_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    timm, data = ModuleType("timm"), ModuleType("timm.data")
    timm.__version__ = "0"
    timm.list_models = lambda: ["tiny"]
    timm.is_model = lambda name: name == "tiny"
    timm.create_model = lambda name, pretrained: nn.Linear(2, 3 if pretrained else 2)
    data.resolve_model_data_config = lambda model: {"width": model.out_features}
    data.create_transform = lambda width: width
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", data)
    assert load_model("timm:tiny", "DEFAULT").preprocessing.function == 3
    assert load_model("timm:tiny").preprocessing is None
    with pytest.raises(ValueError, match=r"which timm 0 doesn't have: did you mean tiny\?"):
        load_model("timm:tinny")
    with pytest.raises(ValueError, match='a file or "DEFAULT"'):
        load_model("timm:tiny", "A1")

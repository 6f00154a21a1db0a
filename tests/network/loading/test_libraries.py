"""Networks of torchvision and timm, by name."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from loaded import agrees
from torch import nn

from captum_influence.data.picture_files import read_picture
from captum_influence.data.pictures import Preprocessing
from captum_influence.network.loading.by_name import load_model


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

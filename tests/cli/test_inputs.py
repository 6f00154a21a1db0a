"""A network and pictures, from the shell's words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from captum_influence.cli.inputs import Collection, Network, Subject, chosen_layer, require
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    PictureOptions,
    PicturesOptions,
    PreprocessingOptions,
)
from captum_influence.network.torchvision_operators import declare_operators

OWN = NetworkOptions(model="nets.py:build", weights="net.pt", labels="names.json")
SIZE = PreprocessingOptions(size=12)


def test_the_demo_brings_everything() -> None:
    network = Network.of(NetworkOptions(), PreprocessingOptions())
    assert network.is_demo
    assert network.size == (64, 64)
    subject = Subject.of(network, PictureOptions())
    assert subject.picture.shape == (3, 64, 64)
    assert subject.outputs == len(network.names or {})
    assert chosen_layer(LayerOptions(), network).module == "relu5"
    collection = Collection.of(network, PicturesOptions())
    assert collection.held_out is not None
    assert collection.size == (64, 64)


def test_a_network_of_ones_own(own: list[str]) -> None:
    subject = Subject.of(Network.of(OWN, SIZE), PictureOptions(image="photo.jpg"))
    assert subject.inputs.shape == (1, 3, 12, 12)
    assert subject.outputs == 3
    assert subject.index("crane") == 2
    shown = subject.network.display(subject.inputs[0])
    assert shown.shape == (3, 12, 12)
    torch.testing.assert_close(shown, subject.picture, atol=1e-6, rtol=0)


def test_labels_of_another_network_are_refused(own: list[str]) -> None:
    Path("names.json").write_text(json.dumps(["background", "a", "b", "c"]))
    with pytest.raises(ValueError, match="0 to 2, got one for class 3"):
        Subject.of(Network.of(OWN, SIZE), PictureOptions(image="photo.jpg"))


def test_a_size_that_the_network_does_not_take(own: list[str]) -> None:
    tiny = Network.of(OWN, PreprocessingOptions(size=2))
    with pytest.raises(ValueError, match=r"shape \(1, 3, 2, 2\), got one that fails"):
        Subject.of(tiny, PictureOptions(image="photo.jpg"))


def test_a_folder_of_the_hugging_face_hubs_form_needs_no_flags(own: list[str]) -> None:
    declare_operators()  # transformers imports torchvision
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    named = {"num_labels": 2, "id2label": {0: "cat", 1: "dog"}}
    config = transformers.ViTConfig(image_size=32, patch_size=8, **small, **named)
    transformers.ViTForImageClassification(config).save_pretrained("vit")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained("vit")
    network = Network.of(NetworkOptions(model="hf:vit"), PreprocessingOptions())
    assert network.size == (32, 32)
    subject = Subject.of(network, PictureOptions(image="photo.jpg"))
    assert (subject.outputs, subject.index("dog")) == (2, 1)
    flags = PreprocessingOptions(size=16)
    assert Network.of(NetworkOptions(model="hf:vit"), flags).size == (16, 16)


def test_an_entry_of_torch_hub_is_asked_for_trained_weights_or_refused(own: list[str]) -> None:
    Path("hubconf.py").write_text(Path("nets.py").read_text())
    options = NetworkOptions(model="hub:.:build")
    with pytest.raises(ValueError, match=r"trained weights, got hub:\.:build"):
        Network.of(options, SIZE)
    network = Network.of(replace(options, weights="net.pt"), SIZE)
    assert Subject.of(network, PictureOptions(image="photo.jpg")).outputs == 3


def test_cuda_is_asked_for_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="say --device cpu"):
        Network.of(NetworkOptions(device="cuda"), PreprocessingOptions())


def test_what_lacks_beside_a_network_is_named_at_once() -> None:
    require(NetworkOptions(), target=None, layer=None)
    with pytest.raises(ValueError, match="beside --model, got no --target, --layer"):
        require(OWN, target=None, layer=None, versus="1")


def test_a_layer_that_is_not_named(own: list[str]) -> None:
    assert chosen_layer(LayerOptions(), Network.of(OWN, SIZE)) is None  # the verb takes its own
    with pytest.raises(ValueError, match=r"--layer beside --call, got --call alone: .*list-layers"):
        chosen_layer(LayerOptions(call=1), Network.of(OWN, SIZE))
    cut = chosen_layer(LayerOptions(layer="1", call=0), Network.of(OWN, SIZE))
    assert (cut.module, cut.call) == ("1", 0)


@pytest.mark.parametrize("groups", [["convertible", "crane"], ["cars", "others"], ["."]])
def test_a_folders_classes(own: list[str], groups: list[str]) -> None:
    for group in groups:
        (Path("photos") / group).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((20, 30), 60).convert("RGB").save(Path("photos") / group / "0.png")
    network = Network.of(OWN, SIZE)
    _, labelled = network.folder("photos", 3)
    assert labelled == ("crane" in groups)
    if labelled:
        loader = Subject.of(network, PictureOptions(image="photo.jpg")).answered("photos")
        assert torch.cat([labels for _, labels in loader]).tolist() == [1, 2]
        collection = Collection.of(network, PicturesOptions(images="photos", batch_size=1))
        assert [len(images) for images, _ in collection.seen] == [1, 1]
        assert collection.held_out is None

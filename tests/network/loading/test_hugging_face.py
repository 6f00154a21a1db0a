"""Classifiers of the Hugging Face hub: from folders that save_pretrained wrote."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from captum_influence.data.pictures import Preprocessing, Transform
from captum_influence.network.loading.by_name import load_model
from captum_influence.network.torchvision_operators import declare_operators

declare_operators()  # transformers imports torchvision
transformers = pytest.importorskip("transformers")
pillow = pytest.importorskip("PIL.Image")

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8}
SIDE = {"height": 32, "width": 32}
PROCESSORS: dict[str, tuple[str, dict[str, Any], type]] = {
    "squashed": ("ViTImageProcessor", {"size": SIDE}, Preprocessing),
    "cropped": (
        "CLIPImageProcessor",
        {"size": {"shortest_edge": 40}, "crop_size": SIDE},
        Preprocessing,
    ),
    "grey levels as they are": (
        "ViTImageProcessor",
        {"size": SIDE, "do_normalize": False},
        Preprocessing,
    ),
    "a step of its own": ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}}, Transform),
    "another scale": ("ViTImageProcessor", {"size": SIDE, "rescale_factor": 1 / 127}, Transform),
}


def network(**settings: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.ViTConfig(image_size=32, num_labels=3, **SMALL, **settings)
    return transformers.ViTForImageClassification(config).eval()


def picture() -> Any:
    return pillow.fromarray(np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8))


def test_a_folder_gives_the_network_its_names_and_its_pictures(tmp_path: Path) -> None:
    saved = network(id2label={0: "cat", 1: "dog", 2: "ant"})
    saved.save_pretrained(tmp_path)
    processor = transformers.ViTImageProcessor(size=SIDE)
    processor.save_pretrained(tmp_path)
    loaded = load_model(f"hf:{tmp_path}")
    assert loaded.class_names == ("cat", "dog", "ant")
    assert not loaded.model.training
    image = picture()
    with torch.no_grad():
        expected = saved(processor(images=image, return_tensors="pt")["pixel_values"]).logits
        found = loaded.model(loaded.preprocessing(image)).logits
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)  # resized by other code
    assert load_model(f"hf:{tmp_path}", "DEFAULT").class_names == loaded.class_names


@pytest.mark.parametrize("kind", PROCESSORS)
def test_a_processor_becomes_what_it_does(tmp_path: Path, kind: str) -> None:
    name, settings, expected = PROCESSORS[kind]
    network().save_pretrained(tmp_path)
    processor = getattr(transformers, name)(**settings)
    processor.save_pretrained(tmp_path)
    prepare = load_model(f"hf:{tmp_path}").preprocessing
    assert type(prepare) is expected
    wanted = processor(images=picture(), return_tensors="pt")["pixel_values"]
    # Half a level of 255 is rounded away at each of two passes, and std divides it.
    torch.testing.assert_close(prepare(picture()), wanted, atol=3 / 255 / 0.26, rtol=0)
    shown = prepare.picture(picture())
    assert shown.shape == wanted.shape[1:]
    assert 0 <= shown.min() < shown.max() <= 1


def test_numbered_classes_have_no_names_and_no_processor_is_no_preprocessing(tmp_path) -> None:
    network().save_pretrained(tmp_path)
    loaded = load_model(f"hf:{tmp_path}")
    assert (loaded.class_names, loaded.preprocessing) == (None, None)


def test_a_file_of_weights_goes_into_what_the_configuration_says(tmp_path: Path) -> None:
    saved = network()
    saved.config.save_pretrained(tmp_path)
    torch.save(saved.state_dict(), tmp_path / "w.pt")
    model = load_model(f"hf:{tmp_path}", tmp_path / "w.pt").model
    pairs = zip(model.state_dict().values(), saved.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_weights_of_half_precision_take_pictures(tmp_path: Path) -> None:
    network().half().save_pretrained(tmp_path)
    assert load_model(f"hf:{tmp_path}").model(torch.zeros(1, 3, 32, 32)).logits.shape == (1, 3)


def test_a_head_that_wasnt_trained_is_refused(tmp_path: Path) -> None:
    network().vit.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"trained weights for all of ViT.*without classifier\."):
        load_model(f"hf:{tmp_path}")


def test_what_classifies_no_pictures_is_refused(tmp_path: Path) -> None:
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="that classifies pictures, got hf:"):
        load_model(f"hf:{tmp_path}")


def test_code_of_a_repository_doesnt_run(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit('ran')\n")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(own))
    with pytest.raises(ValueError, match=r"can't read .*build the network in a FILE\.py:FUNCTION"):
        load_model(f"hf:{tmp_path}")


def test_what_isnt_here_is_named_with_a_cure(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(ValueError, match=r"expected a folder that save_pretrained wrote"):
        load_model(f"hf:{tmp_path}")

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("couldn't connect\nand more")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(RuntimeError, match=r"OSError: couldn't connect\).*`hf download some/net"):
        load_model("hf:some/net")
    with pytest.raises(ValueError, match='as a file or "DEFAULT"'):
        load_model("hf:some/net", "A1")

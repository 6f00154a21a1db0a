"""``captum-influence train-influence``: on the demo, and on a user's own folders of pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from captum_influence.training.bias.disturbances import disturbances_named

Image = pytest.importorskip("PIL.Image", reason="the command line reads pictures with Pillow")
pytest.importorskip("jinja2", reason="reports take Jinja")

from captum_influence.cli import study  # noqa: E402
from captum_influence.cli.program import main  # noqa: E402
from captum_influence.training import Disturbance  # noqa: E402
from captum_influence.training.bias.disturbances import DISTURBANCES  # noqa: E402

NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders of training and test pictures and masks, a network, and the options naming them."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETWORK)
    for folder, count in (("train", 5), ("test", 3), ("masks", 3)):
        for name in ("cat", "dog"):
            Path(folder, name).mkdir(parents=True)
            for i in range(count):
                image = Image.effect_noise((16, 12), 60 + 20 * i).convert("RGB")
                if folder == "masks":
                    image = Image.new("RGB", (16, 12))
                    image.paste((255, 255, 255), (4, 3, 12, 9))
                image.save(Path(folder, name, f"{i}.png"))
    Path("others", "bird").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save("others/bird/0.png")
    network = ["--model", "nets.py:build", "--size", "16"]
    data = ["--train", "train", "--test", "test", "--top", "2", "--quiet"]
    return ["train-influence", *network, *data]


def fails(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_the_default_finds_what_is_planted_in_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "_DEMO_TRAIN", 80)
    monkeypatch.setattr(study, "_DEMO_TEST", 32)
    monkeypatch.setattr(study, "_DEMO_EPOCHS", 8)
    assert main(["train-influence", "--shapley", "none", "--epochs", "1", "--layers", "fc"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "of 28 test pictures" in out[0]
    assert "Of the 80 training pictures 6 carry a planted texture-patches" in out[1]
    report = tmp_path / out[-1].removeprefix("The report: ")
    page = report.read_text("utf-8")
    assert "captum-influence train-influence" in page
    assert "retrained</h2>" in page
    found = json.loads((report.parent / "study.json").read_text("utf-8"))
    assert found["format"] == "captum_influence.BiasReport"
    names = ["original", "texture-patches", "style-channels", "background-white"]
    assert [group["name"] for group in found["groups"]] == names
    assert found["layers"] == ["fc"]


def test_own_pictures(own: list[str]) -> None:
    options = ["--masks", "masks", "--disturb", "background-white", "style-channels"]
    assert main([*own, *options, "--ask", "loss", "--retrain", "4", "--remove", "2"]) == 0
    home = Path("captum-influence-report-training")
    found = json.loads((home / "study.json").read_text("utf-8"))
    assert [g["size"] for g in found["groups"]] == [6, 6, 6]
    assert found["retrainings"][0]["layers"] == ["4"]
    assert found["retrainings"][0]["removed"] == 2
    with np.load(home / "study.npz") as stored:
        assert stored["scores_1_0"].shape == (6, 10)
        assert stored["self_influence_1"].shape == (10,)
        shown = [name for name in stored.files if name.startswith("picture_")]
        assert stored[shown[0]].shape == (3, 16, 16)
    assert "dog" in (home / "report.html").read_text("utf-8")
    again = [*own, "--disturb", "texture-patches", "--top", "1", "--curvature", "identity"]
    assert main([*again, "--normalize", "none", "--shapley", "none", "--layers", "0,4"]) == 0
    assert json.loads((home / "study.json").read_text("utf-8"))["layers"] == ["0", "4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--disturb background-white", "expected --masks FOLDER beside --disturb background-white"),
        ("--disturb fog", "one of texture-patches"),
        ("--damping -1", "at least 0"),
        ("--layers nope --disturb style-channels", "nope"),
        ("--retrain nope --disturb style-channels", "nope"),
        ("--train absent", "folder of pictures"),
        ("--test others --disturb style-channels", "class folders of --train"),
        ("--masks train --disturb style-channels", ""),
        ("--masks test/cat --disturb background-white", "a mask for each test picture"),
        ("--size 2 --disturb style-channels", "change --size"),
        ("--answer 7 --disturb style-channels", "from 0 to 1"),
        ("--top 0", "positive whole number"),
    ],
)
def test_an_error_is_one_line_with_a_cure(
    own: list[str], capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    if not message:
        assert main([*own, *options.split()]) == 0  # any picture may be a mask
        return
    assert message in fails(capsys, [*own, *options.split()])
    assert not Path("captum-influence-report-training").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--train photos", "expected --model beside --train"),
        ("--model nets.py:build", "--train FOLDER and --test FOLDER"),
        ("--size 12", "--size"),
        ("--answer lorry", "none of the 8 names"),
    ],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "_DEMO_TRAIN", 16)
    monkeypatch.setattr(study, "_DEMO_TEST", 8)
    assert message in fails(capsys, ["train-influence", "--quiet", *options.split()])


def test_class_folders_must_be_known(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("nets.py").write_text(NETWORK.replace("16, 2", "16, 3"))
    message = fails(capsys, [*own, "--disturb", "style-channels"])
    assert "3 classes, got 2: say with --labels FILE" in message
    Path("names.txt").write_text("dog\nmouse\ncat")
    assert main([*own, "--disturb", "style-channels", "--labels", "names.txt"]) == 0


def test_a_foreign_study_is_not_overwritten(
    own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    Path("mine/study.json").write_text("{}")
    assert "study.json this program didn't write" in fails(capsys, [*own, "--out", "mine"])


def test_every_disturbance_has_a_name_and_its_seed() -> None:
    found = disturbances_named(list(DISTURBANCES), 7)
    assert {d.seed for d in found.values()} == {7}
    assert all(name.startswith(d.kind) for name, d in found.items())
    assert {type(d) for d in found.values()} == set(_leaves(Disturbance))


def _leaves(kind: type) -> list[type]:
    below = [leaf for child in kind.__subclasses__() for leaf in _leaves(child)]
    return below or ([kind] if kind.__module__.startswith("captum_influence.") else [])


def test_the_model_is_asked_in_evaluation_mode(own: list[str]) -> None:
    torch.manual_seed(0)
    Path("nets.py").write_text(NETWORK.replace("nn.Flatten()", "nn.Flatten(), nn.Dropout(0.5)"))
    text = Path("captum-influence-report-training/study.json")
    options = ["--disturb", "texture-patches", "--shapley", "none"]
    assert main([*own, *options]) == 0
    first = text.read_text("utf-8")
    assert main([*own, *options]) == 0
    assert text.read_text("utf-8") == first

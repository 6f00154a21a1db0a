"""``captum-influence train-influence``: on the demo, and on a user's own folders of pictures."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from captum_influence import BiasReport
from captum_influence.cli import study
from captum_influence.cli.program import main

HOME = Path("captum-influence-train-influence")

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
def own(folder: Path) -> list[str]:
    """Folders of training and test pictures and masks, a network, and the options naming them."""
    Path("nets.py").write_text(NETWORK)
    for part, count in (("train", 5), ("test", 3), ("masks", 3)):
        for name in ("cat", "dog"):
            Path(part, name).mkdir(parents=True)
            for i in range(count):
                image = Image.effect_noise((16, 12), 60 + 20 * i).convert("RGB")
                if part == "masks":
                    image = Image.new("RGB", (16, 12))
                    image.paste((255, 255, 255), (4, 3, 12, 9))
                image.save(Path(part, name, f"{i}.png"))
    Path("others", "bird").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save("others/bird/0.png")
    network = ["--model", "nets.py:build", "--size", "16"]
    data = ["--train", "train", "--test", "test", "--top", "2", "--quiet"]
    return ["train-influence", *network, *data]


def test_the_default_finds_what_is_planted_in_the_demo(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "_DEMO_TRAIN", 80)
    monkeypatch.setattr(study, "_DEMO_TEST", 32)
    monkeypatch.setattr(study, "_DEMO_EPOCHS", 8)
    assert main(["train-influence", "--shapley", "none", "--epochs", "1", "--layer", "fc"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "of 28 test pictures" in out[1]
    assert "Of the 80 training pictures 6 carry a planted texture-patches" in out[2]
    report = folder / out[-1].removeprefix("The report: ")
    page = report.read_text("utf-8")
    assert "captum-influence train-influence" in page
    assert "retrained</h2>" in page
    found = BiasReport.load(report.parent)
    names = ["original", "texture-patches", "style-channels", "background-white"]
    assert [group.name for group in found.groups] == names
    assert found.layers == ("fc",)
    assert list(found.notes) == out[1:3]


def test_own_pictures(own: list[str]) -> None:
    options = ["--masks", "masks", "--disturb", "background-white", "style-channels"]
    assert main([*own, *options, "--ask", "loss", "--retrain", "4", "--remove", "2"]) == 0
    found = BiasReport.load(HOME)
    assert [group.size for group in found.groups] == [6, 6, 6]
    assert found.retrainings[0].layers == ("4",)
    assert found.retrainings[0].removed == 2
    assert found.mean_scores("background-white").shape == (10,)
    assert "dog" in (HOME / "report.html").read_text("utf-8")
    again = [*own, "--disturb", "texture-patches", "--top", "1", "--curvature", "identity"]
    layers = ["--layer", "0", "--layer", "4"]
    assert main([*again, "--normalize", "none", "--shapley", "none", "--force", *layers]) == 0
    assert BiasReport.load(HOME).layers == ("0", "4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--disturb background-white", "expected --masks FOLDER beside --disturb background-white"),
        ("--disturb fog", "invalid choice: 'fog'"),
        ("--damping -1", "at least 0"),
        ("--layer nope --disturb style-channels", "nope"),
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
    own: list[str], fails, options: str, message: str
) -> None:
    if not message:
        assert main([*own, *options.split()]) == 0  # any picture may be a mask
        return
    assert message in fails([*own, *options.split()])
    assert not HOME.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--train photos", "expected --model beside --train"),
        ("--model nets.py:build", "--train and --test beside --model, got no --train, --test"),
        ("--size 12", "--size"),
        ("--answer lorry", "none of the 8 names"),
    ],
)
def test_options_that_do_not_go_together(
    folder: Path, fails, monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    monkeypatch.setattr(study, "_DEMO_TRAIN", 16)
    monkeypatch.setattr(study, "_DEMO_TEST", 8)
    assert message in fails(["train-influence", "--quiet", *options.split()])


def test_class_folders_must_be_known(own: list[str], fails) -> None:
    Path("nets.py").write_text(NETWORK.replace("16, 2", "16, 3"))
    message = fails([*own, "--disturb", "style-channels"])
    assert "3 classes, got 2: say with --labels FILE" in message
    Path("names.txt").write_text("dog\nmouse\ncat")
    assert main([*own, "--disturb", "style-channels", "--labels", "names.txt"]) == 0


def test_a_foreign_study_is_not_overwritten(own: list[str], fails) -> None:
    Path("mine").mkdir()
    Path("mine/bias_report.json").write_text("{}")
    assert "bias_report.json" in fails([*own, "--out", "mine"])


def test_the_model_is_asked_in_evaluation_mode(own: list[str]) -> None:
    torch.manual_seed(0)
    Path("nets.py").write_text(NETWORK.replace("nn.Flatten()", "nn.Flatten(), nn.Dropout(0.5)"))
    text = HOME / "bias_report.json"
    options = ["--disturb", "texture-patches", "--shapley", "none"]
    assert main([*own, *options]) == 0
    first = text.read_text("utf-8")
    assert main([*own, *options, "--force"]) == 0
    assert text.read_text("utf-8") == first


def test_bad_pictures_are_left_out_named_and_counted(
    own: list[str], fails, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [Path("train/cat/2.png"), Path("test/dog/1.png")]
    for path in bad:
        path.write_bytes(b"broken")
    options = ["--disturb", "texture-patches", "--shapley", "none", "--ask", "loss"]
    assert main([*own, *options]) == 0
    found, err = BiasReport.load(HOME), capsys.readouterr().err
    assert found.mean_scores("texture-patches").shape == (9,)
    assert found.groups[0].size == 5
    for told in (err, (HOME / "report.html").read_text("utf-8")):
        assert all(str(path) in told for path in bad)
    assert "cat/2.png" in fails([*own, *options, "--strict"])

import json
from pathlib import Path

import pytest

Image = pytest.importorskip("PIL.Image", reason="the command line reads pictures with Pillow")

from captum_influence.cli.program import main  # noqa: E402

NETWORK = """
import torch
from torch import nn

def build():
    '''Red is class 0, green class 1; blue is seen and means nothing.'''
    head = nn.Linear(3, 2, bias=False)
    head.weight = nn.Parameter(torch.tensor([[2.0, 0.0, 0.1], [0.0, 2.0, 0.1]]))
    eye = nn.Conv2d(3, 3, 1, bias=False)
    eye.weight = nn.Parameter(torch.eye(3)[:, :, None, None])
    return nn.Sequential(eye, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
"""
COLOURS = {"red": (200, 30, 10), "green": (40, 220, 10)}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETWORK)
    Path("names.json").write_text('["red", "green"]')
    for number, (name, colour) in enumerate(COLOURS.items()):
        Path("photos", name).mkdir(parents=True)
        Path("numbered").mkdir(exist_ok=True)
        for i in range(3):
            picture = Image.new("RGB", (8, 8), tuple(c - 5 * i for c in colour))
            picture.save(Path("photos", name, f"{i}.png"))
            picture.save(Path("numbered", f"{number:04}_{i}.png"))
    model = ["--model", "nets.py:build", "--labels", "names.json", "--size", "8"]
    return [*model, "--images", "photos", "--layer", "1"]


def content(folder: str, name: str) -> dict:
    assert (Path(folder) / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert (Path(folder) / "figures" / "overview.png").read_bytes().startswith(b"\x89PNG")
    return json.loads((Path(folder) / name).read_text("utf-8"))


def test_the_essence_of_a_class_of_ones_own(own, capsys) -> None:
    words = ["essence", *own, "--class", "red", "--examples", "1", "--prototype-steps", "2"]
    assert main([*words, "--out", "made"]) == 0
    assert "red is first of all channels 0 and 2 of 1" in capsys.readouterr().out
    found = content("made", "essence.json")
    assert found["units"][0]["index"] == [0]
    assert found["pictures"] == 3
    assert found["prototype"]["value"] > found["prototype"]["start"]
    assert main([*words, "--by", "contribution", "--quiet", "--out", "made"]) == 0  # once more
    assert capsys.readouterr().out == ""


def test_what_separates_two_classes_of_ones_own(own, capsys) -> None:
    assert main(["pair", *own, "--class", "0", "--versus", "green", "--out", "made"]) == 0
    assert "channel 0 speaks for red" in capsys.readouterr().out
    found = content("made", "pair.json")
    assert found["second"]["units"][0]["index"] == [1]
    assert found["first"]["moves"]["moved"]["contribution"][0] == 1.0


def test_the_experts_of_a_class_of_ones_own(own, capsys) -> None:
    words = ["expert", *own, "--class", "red", "--rankings", "influence,random"]
    assert main([*words, "--mode", "remove", "--out", "made"]) == 0
    assert "by influence: 1 channel," in capsys.readouterr().out
    found = content("made", "expert.json")
    assert found["units"]["influence"] == [0]
    assert found["layer"] == "1"
    assert set(found["curves"]) == {"influence", "random"}


def test_a_prototype_of_ones_own(own, capsys) -> None:
    at = own.index("--images")
    words = ["prototype", *own[:at], "--class", "red", "--steps", "8", "--out", "made"]
    assert main(words) == 0
    assert "A picture made for score(red)" in capsys.readouterr().out
    assert content("made", "prototype.json")["value"] > 0.4
    unit = ["--layer", "1", "--unit", "2", "--steps", "2", "--out", "unit"]
    assert main(["prototype", *own[:at], *unit]) == 0
    assert content("unit", "prototype.json")["layer"] == "1"


def test_names_of_files_may_say_the_class(own) -> None:
    own[own.index("photos")] = "numbered"
    assert main(["pair", *own, "--class", "red", "--versus", "green", "--out", "made"]) == 0
    assert content("made", "pair.json")["first"]["pictures"] == 3


def test_held_out_pictures(own) -> None:
    words = ["essence", *own, "--class", "red", "--prototype-steps", "0", "--examples", "1"]
    assert main([*words, "--held-out", "numbered", "--out", "made"]) == 0
    found = content("made", "essence.json")
    assert found["held_out"]
    assert found["prototype"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("essence --model nets.py:build", "expected --layer NAME and --class CLASS"),
        ("essence --images photos", "expected --model and --images together"),
        ("essence --held-out photos", "got the demo, which has its own"),
        ("essence --size 8", "expected --image beside --size"),
        ("essence --class cupe", "similar names: coupe"),
        ("essence --out taken --class coupe", "this program didn't write"),
        ("pair --model nets.py:build --layer 1 --class 0", "--versus CLASS beside --model"),
        ("pair --class coupe --versus coupe", "expected two classes"),
        ("expert --rankings size", "expected some of influence"),
        ("prototype --unit 3", "expected --unit N with --layer NAME"),
        ("prototype --model nets.py:build", "expected --class CLASS, or --layer NAME"),
    ],
)
def test_mistakes_are_named_in_one_line(own, capsys, words: str, message: str) -> None:
    Path("taken").mkdir()
    Path("taken/report.html").write_text("mine")
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_subfolders_that_are_no_classes(own, capsys) -> None:
    Path("photos", "red").rename(Path("photos", "scarlet"))
    assert main(["essence", *own, "--class", "red"]) == 2
    assert "expected a subfolder for each class" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "file", "said"),
    [
        ("essence", "essence.json", "To this network, coupe is first of all channel"),
        ("pair", "pair.json", "What separates coupe from convertible in relu5: channel"),
        ("expert", "expert.json", "coupe against the rest, by units of relu5, kept alone"),
        ("prototype", "prototype.json", "A picture made for score(tree)"),
    ],
)
def test_without_words_it_is_about_the_demo(
    tmp_path, monkeypatch, capsys, command: str, file: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 0
    assert said in capsys.readouterr().out
    content(f"captum-influence-{command}", file)

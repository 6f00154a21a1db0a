"""``captum-influence explain``, in-process."""

from pathlib import Path

import pytest
from PIL import Image

from captum_influence import Explanation
from captum_influence.cli.commands import explain as explaining
from captum_influence.cli.program import main


@pytest.mark.usefixtures("terminal")
def test_the_default_explains_the_demo(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(explaining, "_DEMO_EXAMPLES", 8)  # the pictures, not what is found
    assert main(["explain"]) == 0
    captured = capsys.readouterr()
    assert "coupe" in captured.out.splitlines()[0]
    report = folder / captured.out.splitlines()[-1].removeprefix("The report: ")
    assert report == folder / "captum-influence-explain" / "report.html"
    assert "captum-influence explain" in report.read_text("utf-8")
    assert "row/s" in captured.err  # the progress bar
    assert list((report.parent / "figures").glob("*.png"))
    found = Explanation.load(report.parent)
    assert found.quantity == "score(coupe) − score(convertible)"
    assert found.picture.shape == (3, 64, 64)


def test_a_users_own_network_and_picture(own: list[str]) -> None:
    options = ["--target", "Sports_Car", "--versus", "1", "--out", "made"]
    assert main([*own, *options, "--mean=-1,0,.5", "--resize", "14"]) == 0
    found = Explanation.load("made")
    assert found.quantity == "score(sports car) − score(convertible)"
    assert found.picture.shape == (3, 12, 12)
    assert len(found.units) == 2


def test_a_network_of_one_channel(folder: Path, own: list[str], fails) -> None:
    text = Path("nets.py").read_text().replace("nn.Conv2d(3,", "nn.Conv2d(1,")
    Path("gray.py").write_text(text)
    words = ["--model", "gray.py:build", "--size", "12", "--quiet"]
    asked = ["explain", *words, "--image", "photo.jpg", "--out", "made"]
    assert "--channel-order, where gray is one channel" in fails(asked)
    gray = ["--channel-order", "gray", "--mean", "0.5"]
    assert main([*asked, *gray]) == 0
    assert Explanation.load("made").picture.shape == (3, 12, 12)
    assert main(["explain", *words, *gray, "--list-layers"]) == 0
    assert main(["prototype", *words, *gray, "--target", "1", "--steps", "2"]) == 0
    Path("photos").mkdir()
    Image.new("L", (20, 20)).save("photos/a.png")
    assert main(["explain", *words, *gray, "--image", "photos"]) == 0


def test_layers_are_listed_with_their_shapes(
    own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*own, "--list-layers"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["for", "an", "input of shape (3, 12, 12):"]
    assert lines[1] == ["0", "Conv2d", "(4, 10, 10)"]
    assert lines[-1] == ["4", "Linear", "(3)"]
    assert main(["explain", "--model", "nets.py:build", "--list-layers"]) == 0
    assert "(3, 224, 224)" in capsys.readouterr().out


def test_a_layer_that_runs_twice_or_returns_no_tensor_says_so(
    own: list[str], fails, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.twice, self.pair = torch.nn.ReLU(), Pair()\n"
        "    def forward(self, x):\n"
        "        return self.pair(self.twice(self.twice(x)))[0].mean((2, 3))\n"
        "class Pair(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x, x\n"
    )
    assert main(["explain", "--model", "odd.py:Odd", "--size", "8", "--list-layers"]) == 0
    _, twice, pair = capsys.readouterr().out.splitlines()
    assert "runs 2 times: add --call 0 to 1" in twice
    assert "tuple; in Python, Cut(..., select=...)" in pair
    odd = ["explain", "--model", "odd.py:Odd", "--image", "photo.jpg", "--size", "8", "--quiet"]
    odd += ["--layer", "twice", "--points", "2", "--top", "1"]
    assert "ran 2 times" in fails(odd)
    assert main([*odd, "--call", "1"]) == 0
    assert Explanation.load("captum-influence-explain").layer == "twice, call 1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model nets.py:build --size 12", "--image photo.jpg"),
        ("--model nets.py:build --image photo.jpg", "--size 224 --resize 256 --mean 0.485"),
        ("--model nets.py:build --image photo.jpg --size 12 --call 1", "--list-layers shows"),
        ("--model torchvision:resnet18 --image photo.jpg", "add --weights DEFAULT"),
        ("--weights net.pt", "expected --model beside --weights"),
        ("--image photo.jpg", "expected --model beside --image"),
        ("--model nets.py:build --size 12 --image absent.jpg", "expected an image file"),
        ("--model nets.py:build --size 12 --image nets.py", "convert it to PNG"),
        ("--target 8", "from 0 to 7, got 8"),
        ("--target coop", "similar names: coupe"),
        ("--target coupe --versus 0", "two classes to compare"),
        ("--labels absent.json", "expected a file of class names"),
        ("--labels names.json --target coupe", "none of the 3 names"),
        ("--distribution point --points 3", "--distribution path or noise"),
        ("--mean 1,2", "one number or three"),
        ("--size 12 --squash", "expected --model beside --size, --squash"),
        ("--size 12x", "--size: expected a positive whole number"),
        ("--top 0", "--top: expected a positive whole number"),
        ("--by size", "invalid choice: 'size'"),
        ("--model build --image photo.jpg", "torchvision:NAME"),
        ("--model nets.py:nothing --image photo.jpg", "it has build"),
    ],
)
def test_an_error_is_one_line_with_a_cure(
    own: list[str], fails, options: str, message: str
) -> None:
    assert message in fails(["explain", "--quiet", *options.split()])


@pytest.mark.parametrize("groups", [["convertible", "crane"], ["cars", "others"], []])
def test_examples_out_of_a_folder(own: list[str], groups: list[str]) -> None:
    for i, group in enumerate(groups * 2 or [".", "."]):
        folder = Path("photos") / group
        folder.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((20, 30), 60).convert("RGB").save(folder / f"{i}.png")
    assert main([*own, "--examples", "photos", "--out", "made"]) == 0
    unit = Explanation.load("made").units[0]
    assert {example.kind for example in unit.examples} == {"activation", "contribution"}
    assert all(example.image.shape == (3, 12, 12) for example in unit.examples)
    boxes = [example.box for example in unit.examples if example.box is not None]
    assert {(b[2] - b[0], b[3] - b[1]) for b in boxes} == {(3, 3)}  # one 3 × 3 convolution
    named = {example.label_name for example in unit.examples}
    assert named == (set(groups) if "crane" in groups else {None})


def test_examples_must_be_a_folder(own: list[str], fails) -> None:
    assert "folder of pictures" in fails([*own, "--examples", "photo.jpg"])

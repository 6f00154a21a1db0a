"""The command line, in-process through main([...]), and once as a program of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

Image = pytest.importorskip("PIL.Image", reason="the command line reads pictures with Pillow")
pytest.importorskip("jinja2", reason="reports take Jinja")

from captum_influence import (  # noqa: E402
    Explanation,
    LinearPath,
    Noise,
    Point,
    __version__,
)
from captum_influence.cli.commands import explain as explaining  # noqa: E402
from captum_influence.cli.program import _parser, main  # noqa: E402
from captum_influence.cli.question import chosen_distribution, chosen_quantity  # noqa: E402
from captum_influence.data.labels import class_index, read_class_names  # noqa: E402

NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
"""
NAMES = ["sports car", "convertible", "crane"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A user's folder with a network, weights, labels and a photo; and the options naming them."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETWORK)
    namespace: dict[str, object] = {}
    exec(NETWORK, namespace)
    torch.save({"state_dict": namespace["build"]().state_dict()}, "net.pt")
    Path("names.json").write_text(json.dumps(NAMES))
    Image.effect_noise((30, 20), 80).convert("CMYK").save("photo.jpg")
    network = ["--model", "nets.py:build", "--weights", "net.pt", "--labels", "names.json"]
    picture = ["--image", "photo.jpg", "--size", "12"]
    return ["explain", *network, *picture, "--layer", "1", "--top", "2", "--points", "3", "--quiet"]


def fails(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    """What a command that must fail says, in one line."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("captum-influence: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_the_default_explains_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(explaining, "_DEMO_EXAMPLES", 8)  # the pictures, not what is found
    assert main(["explain"]) == 0
    captured = capsys.readouterr()
    assert "coupe" in captured.out.splitlines()[0]
    report = tmp_path / captured.out.splitlines()[-1].removeprefix("The report: ")
    assert report == tmp_path / "captum-influence-report" / "report.html"
    assert "captum-influence explain" in report.read_text("utf-8")
    assert "row/s" in captured.err  # the progress bar
    assert list((report.parent / "figures").glob("*.png"))
    found = Explanation.load(report.parent)
    assert found.quantity == "score(coupe) − score(convertible)"
    assert found.picture.shape == (3, 64, 64)


def test_a_users_own_network_and_picture(own: list[str]) -> None:
    out = "made/on the way"
    options = ["--target", "Sports_Car", "--versus", "1", "--out", out]
    assert main([*own, *options, "--mean=-1,0,.5", "--resize", "14"]) == 0
    found = Explanation.load(out)
    assert found.quantity == "score(sports car) − score(convertible)"
    assert found.picture.shape == (3, 12, 12)
    assert len(found.units) == 2
    assert "'on the way'" not in found.headline
    assert main([*own, *options, "--top", "1"]) == 0  # an earlier run's files are written over
    assert len(Explanation.load(out).units) == 1
    assert not list(Path(out).glob("figures/unit2_*.png"))


def test_quiet_prints_nothing(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(own) == 0
    assert capsys.readouterr() == ("", "")


def test_foreign_files_are_not_overwritten(
    own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    Path("mine/report.html").write_text("dear diary")
    for text in (None, "{}", "[1]", "no JSON"):
        if text is not None:
            Path("mine/explanation.json").write_text(text)
        message = fails(capsys, [*own, "--out", "mine"])
        assert "report.html this program didn't write" in message
    assert Path("mine/report.html").read_text() == "dear diary"
    assert "is a file" in fails(capsys, [*own, "--out", "nets.py"])
    assert "is a file" in fails(capsys, [*own, "--out", "nets.py/inside"])


def test_a_failure_leaves_no_folder(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "no layer named 'nope'" in fails(capsys, [*own, "--layer", "nope", "--out", "new"])
    assert not Path("new").exists()


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
    own: list[str], capsys: pytest.CaptureFixture[str]
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
    assert "ran 2 times" in fails(capsys, odd)
    assert main([*odd, "--call", "1"]) == 0
    assert Explanation.load("captum-influence-report").layer == "twice, call 1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model nets.py:build", "--image photo.jpg"),
        ("--model nets.py:build --image photo.jpg", "--size 224 --resize 256 --mean 0.485"),
        ("--model nets.py:build --image photo.jpg --size 12", "--list-layers shows"),
        ("--model torchvision:resnet18 --image photo.jpg", "add --weights DEFAULT"),
        ("--weights net.pt", "expected --model beside --weights"),
        ("--image absent.jpg", "expected an image file"),
        ("--image nets.py", "convert it to PNG"),
        ("--target 8", "from 0 to 7, got 8"),
        ("--target coop", "similar names: coupe"),
        ("--target coupe --versus 0", "two classes to compare"),
        ("--labels absent.json", "expected a file of class names"),
        ("--labels names.json --target coupe", "none of the 3 names"),
        ("--distribution point --points 3", "--distribution path or noise"),
        ("--seed 3", "--seed with --distribution noise"),
        ("--distribution noise --noise 0", "positive number as --noise"),
        ("--size 12 --image photo.jpg --mean 1,2", "one number or three"),
        ("--size 12 --squash", "expected --image beside --size, --squash"),
        ("--size 12x", "--size: expected a positive whole number"),
        ("--top 0", "--top: expected a positive whole number"),
        ("--by size", "invalid choice: 'size'"),
        ("--frobnicate", "--frobnicate"),
        ("--lay relu5", "--lay"),
        ("--model build --image photo.jpg", "torchvision:NAME"),
        ("--model nets.py:nothing --image photo.jpg", "it has build"),
    ],
)
def test_an_error_is_one_line_with_a_cure(
    own: list[str], capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    assert message in fails(capsys, ["explain", "--quiet", *options.split()])


def test_a_picture_of_the_wrong_size_names_the_cure(
    own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "shape (1, 3, 2, 2), got one that fails" in fails(capsys, [*own, "--size", "2"])


def test_labels_of_another_network_are_refused(
    own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("names.json").write_text(json.dumps(["background", *NAMES]))
    assert "0 to 2, got one for class 3" in fails(capsys, own)


def test_cuda_is_asked_for_where_there_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "say --device cpu" in fails(capsys, ["explain", "--device", "cuda"])


def test_debug_shows_the_traceback(own: list[str]) -> None:
    with pytest.raises(ValueError, match="no layer named"):
        main([*own, "--layer", "nope", "--debug"])


def test_without_jinja_the_extra_is_named_before_the_work(
    own: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "captum_influence[report]" in fails(capsys, ["explain", "--quiet"])


def test_help_and_version_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["explain", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert out.rstrip().endswith(__version__)


def test_the_program_runs_by_itself(own: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "captum_influence.cli", *own, "--layer", "nope"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("captum-influence: error: the network has no layer named 'nope'")


# -------------------------------------------------------------------------------- the question


@pytest.mark.parametrize(
    ("options", "kind"),
    [("--distribution point", Point), ("--points 7", LinearPath), ("--distribution noise", Noise)],
)
def test_distributions(options: str, kind: type) -> None:
    args = _parser().parse_args(["explain", *options.split()])
    found = chosen_distribution(args, torch.rand(1, 3, 8, 8))
    assert isinstance(found, kind)
    assert sum(point.weight for point in found.points((torch.rand(1, 3, 8, 8),))) == pytest.approx(
        1
    )


def test_nothing_said_leaves_the_default_to_explain() -> None:
    assert chosen_distribution(_parser().parse_args(["explain"]), torch.rand(1, 3, 8, 8)) is None


def test_noise_is_measured_by_the_inputs_range() -> None:
    options = ["--distribution", "noise", "--noise", "0.1", "--seed", "4"]
    args = _parser().parse_args(["explain", *options])
    found = chosen_distribution(args, torch.tensor([-120.0, 130.0]).reshape(1, 1, 1, 2))
    assert found.noise == pytest.approx(25)
    assert found.seed == 4


@pytest.mark.parametrize("baseline", ["zero", "mean", "blur"])
def test_a_flat_picture_is_its_own_mean_and_blur(baseline: str) -> None:
    args = _parser().parse_args(["explain", "--baseline", baseline])
    flat = torch.tensor([3.0, -2.0, 7.0]).reshape(1, 3, 1, 1).expand(1, 3, 30, 20)
    (start,) = chosen_distribution(args, flat).reference((flat,))
    expected = torch.zeros_like(flat) if baseline == "zero" else flat
    torch.testing.assert_close(start.expand_as(flat), expected)


def test_blur_keeps_the_mean_colour_and_takes_the_detail() -> None:
    args = _parser().parse_args(["explain", "--baseline", "blur"])
    noise = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    (start,) = chosen_distribution(args, noise).reference((noise,))
    assert start.std() < noise.std() / 5
    torch.testing.assert_close(start.mean(), noise.mean(), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("options", "value"),
    [("", 3.0), ("--target 0", 1.0), ("--target 0 --versus 1", -2.0), ("--versus 2", 1.0)],
)
def test_quantities(options: str, value: float) -> None:
    args = _parser().parse_args(["explain", *options.split()])
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    assert chosen_quantity(args, None, 3).resolve(scores)(scores).tolist() == [value]


# ---------------------------------------------------------------------------------- the labels


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.json", '["sports car", "convertible", "crane"]'),
        ("names.json", '{"0": "sports car", "1": "convertible", "2": "crane"}'),
        (
            "names.json",
            '{"0": ["n0", "sports_car"], "1": ["n1", "convertible"], "2": ["n2", "crane"]}',
        ),
        ("names.json", '[["n0", "sports_car"], ["n1", "convertible"], ["n2", "crane"]]'),
        ("names.json", '{"sports car": 0, "convertible": 1, "crane": 2}'),
        ("names.txt", "sports car\nconvertible\r\ncrane\n\n"),
        ("names.txt", "\ufeffsports car\nconvertible\ncrane"),
    ],
)
def test_labels_in_every_usual_form(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_class_names(tmp_path / name) == dict(enumerate(NAMES))


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", '{"a": "b"}', "[unquoted]", "\xff"])
def test_a_file_without_labels_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "names.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=r"class names in 'names\.json'"):
        read_class_names(tmp_path / "names.json")


def test_a_class_by_number_or_name() -> None:
    names = dict(enumerate(["crane", "sports car", "Crane", "7"]))
    assert class_index("SPORTS_car", names) == 1
    assert class_index("3", names, 4) == 3
    assert class_index("7", names) == 7  # digits are a number
    with pytest.raises(ValueError, match="class 0 and class 2: give the number"):
        class_index("crane", names)
    with pytest.raises(ValueError, match="--labels FILE"):
        class_index("crane", None)
    with pytest.raises(ValueError, match="none of the 4 names"):
        class_index("-1", names)


# Examples out of a folder -------------------------------------------------------------------------


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


def test_examples_must_be_a_folder(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "folder of pictures" in fails(capsys, [*own, "--examples", "photo.jpg"])

"""``captum-influence counterfactual``, in-process."""

from pathlib import Path

import pytest
from PIL import Image

from captum_influence import Counterfactual
from captum_influence.cli.program import main

NETWORK = """
import torch
from torch import nn

def build():
    '''Says class 0, whatever it sees, as long as its first unit may speak.'''
    head = nn.Linear(2, 2, bias=False)
    head.weight = nn.Parameter(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    return nn.Sequential(Halves(), head)

class Halves(nn.Module):
    def forward(self, images):
        return images.mean(dim=(1, 2)).reshape(len(images), 2, -1).mean(dim=2)
"""


@pytest.fixture
def own(folder: Path) -> list[str]:
    Path("nets.py").write_text(NETWORK)
    Path("names.json").write_text('["dark", "bright"]')
    Image.new("RGB", (8, 8), (200, 200, 200)).save("photo.png")
    model = ["--model", "nets.py:build", "--labels", "names.json", "--image", "photo.png"]
    return ["counterfactual", *model, "--size", "8", "--layer", "0", "--true", "bright"]


def test_the_default_rights_the_demo(
    folder: Path, written_in, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["counterfactual"]) == 0
    assert capsys.readouterr().out.startswith("The network says house; the truth is fish. Without ")
    home = written_in("captum-influence-counterfactual")
    found = Counterfactual.load(home)
    assert found.outcome == "true"
    assert found.collateral.examples == 80
    assert "The network says house" in (home / "report.html").read_text("utf-8")


def test_a_users_own_network(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*own, "--controls", "4", "--out", "made/here"]) == 0
    assert "Without 1 channel of 0 it says bright." in capsys.readouterr().out
    found = Counterfactual.load("made/here")
    assert [unit.index for unit in found.units] == [(0,)]
    assert found.controls.sets == 4
    assert main([*own, "--quiet", "--force", "--out", "made/here"]) == 0  # once more
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--true", "dark"], "expected a wrong answer, got one that is true"),
        (["--true", "grey"], "none of the 2 names"),
        (["--out", "photo.png"], "photo.png is a file"),
        (["--out", "taken"], "counterfactual.json"),
        (["--max-units", "0"], "positive whole number"),
        (["--until", "true"], "invalid choice: 'true'"),
        (["--search", "all"], "invalid choice: 'all'"),
    ],
)
def test_mistakes_are_named_in_one_line(
    own: list[str], fails, words: list[str], message: str
) -> None:
    Path("taken").mkdir()
    Path("taken/counterfactual.json").write_text("{}")
    assert message in fails([*own, *words])


def test_until_and_search_are_handed_on(own: list[str]) -> None:
    assert main([*own, "--until", "changed", "--search", "prefix", "--quiet", "--out", "made"]) == 0
    found = Counterfactual.load("made")
    assert (found.until, found.search, found.outcome) == ("changed", "prefix", "true")
    assert main([*own, "--quiet", "--out", "again"]) == 0
    found = Counterfactual.load("again")
    assert (found.until, found.search) == ("right", "greedy")


def test_a_network_needs_a_layer_and_a_truth(own: list[str], fails) -> None:
    without = {
        "--true": "expected --true beside --model, got no --true",
        "--layer": "several places for each channel, as a convolution has, got none: name the",
    }
    for left_out, told in without.items():
        at = own.index(left_out)
        assert told in fails([*own[:at], *own[at + 2 :]])


# Examples out of a folder -------------------------------------------------------------------------


@pytest.fixture
def others(own: list[str]) -> list[str]:
    """Two pictures of "dark", which the network answers, and one of "bright", which it doesn't."""
    for name, shades in {"dark": [200, 100], "bright": [200]}.items():
        folder = Path("photos") / name
        folder.mkdir(parents=True)
        for i, shade in enumerate(shades):
            Image.new("RGB", (8, 8), (shade, shade, shade)).save(folder / f"{i}.png")
    return [*own, "--examples", "photos", "--controls", "2", "--quiet", "--out", "made"]


def test_examples_tell_the_damage(others: list[str]) -> None:
    assert main([*others, "--replace", "0"]) == 0
    damage = Counterfactual.load("made").collateral
    # without its first unit the network says "bright" of everything
    assert (damage.examples, damage.before, damage.after) == (
        3,
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )


@pytest.mark.parametrize("words", [["--replace", "mean"], []])
def test_their_mean_takes_the_place_of_removed_units(others: list[str], words: list[str]) -> None:
    assert main([*others, *words]) == 0
    found = Counterfactual.load("made")
    # scores 2 z0 and z1, with z0 = z1 = 200 / 255: the mean of z0 is (200 + 100 + 200) / 3 / 255
    assert found.margins == pytest.approx([200 / 255, (2 * 500 / 3 - 200) / 255], abs=1e-5)
    assert found.outcome == "none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--replace", "mean"], "expected --examples FOLDER beside --replace mean"),
        (["--replace", "median"], '"mean" or "resample"'),
        (["--examples", "photo.png"], "which is none"),
        (["--examples", "odd"], "expected a subfolder for each class, named by it, or"),
    ],
)
def test_bad_examples_are_named(own: list[str], fails, words: list[str], message: str) -> None:
    Path("odd/grey").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save("odd/grey/0.png")
    assert message in fails([*own, *words])

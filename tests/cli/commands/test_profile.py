"""``captum-influence profile`` on the demo, and on a folder of pictures with the user's network."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from captum_influence import InfluenceProfile
from captum_influence.cli.program import main

NETWORK = """
from torch import nn

def build():
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)]
    return nn.Sequential(*layers)
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Return the command for a network and three pictures in two groups."""
    (tmp_path / "nets.py").write_text(NETWORK)
    torch.manual_seed(0)
    for group, colours in {"warm": ["red", "orange"], "cold": ["blue"]}.items():
        (tmp_path / "pictures" / group).mkdir(parents=True)
        for colour in colours:
            Image.new("RGB", (12, 10), colour).save(tmp_path / "pictures" / group / f"{colour}.png")
    model = ["--model", f"{tmp_path / 'nets.py'}:build", "--images", str(tmp_path / "pictures")]
    return ["profile", *model, "--size", "8", "--layer", "1", "--out", str(tmp_path / "out")]


def test_a_folder_of_pictures(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "warm (n = 2)" in out
    assert "units of largest mean influence on score(predicted class)" in out
    profile = InfluenceProfile.load(tmp_path / "out")
    assert profile.groups == ("cold", "warm")
    assert profile.facts["group_by"] == "folder"
    assert "profile" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["profile", "--out", str(tmp_path), "--distribution", "point", "--layer", "relu5"]
    assert main(command) == 0
    assert "coupe (n = 20)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--images", "nowhere"], "which is none"),
        (["--target", "9"], "out of range"),
        (["--layer", "conv9"], "no layer named 'conv9'"),
    ],
)
def test_errors_are_one_line(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    assert message in capsys.readouterr().err


def test_a_network_needs_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--model", "nets.py:build"]) == 2
    assert "--model and --images together" in capsys.readouterr().err


def test_an_empty_folder_is_refused(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([*words, "--images", str(tmp_path / "empty")]) == 2
    assert "got none" in capsys.readouterr().err

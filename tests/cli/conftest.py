"""A user's folder for the command line: a network, its weights, class names, a photo."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from captum_influence.cli.program import main

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
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a user is in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own(folder: Path) -> list[str]:
    """The command that explains a photo with a network of the user's own."""
    Path("nets.py").write_text(NETWORK)
    namespace: dict[str, object] = {}
    exec(NETWORK, namespace)
    torch.save({"state_dict": namespace["build"]().state_dict()}, "net.pt")
    Path("names.json").write_text(json.dumps(NAMES))
    Image.effect_noise((30, 20), 80).convert("CMYK").save("photo.jpg")
    network = ["--model", "nets.py:build", "--weights", "net.pt", "--labels", "names.json"]
    picture = ["--image", "photo.jpg", "--size", "12"]
    return ["explain", *network, *picture, "--layer", "1", "--top", "2", "--quiet"]


class Failing:
    """Runs a command that must fail, and returns what it says of that, in one line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, words: list[str] | str) -> str:
        self.capsys.readouterr()
        assert main(words.split() if isinstance(words, str) else words) == 2
        out, err = self.capsys.readouterr()
        assert out == ""
        assert err.startswith("captum-influence: error: ")
        assert err.count("\n") == 1
        return err


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Failing:
    """What runs a command that must fail."""
    return Failing(capsys)

"""A user's labelled pictures, and a network that tells them apart by colour."""

from pathlib import Path

import pytest
from PIL import Image

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
def colours(folder: Path) -> list[str]:
    """The network, and three pictures of each class in subfolders; in ``numbered`` by file name."""
    (folder / "nets.py").write_text(NETWORK)
    (folder / "names.json").write_text('["red", "green"]')
    for number, (name, colour) in enumerate(COLOURS.items()):
        Path("photos", name).mkdir(parents=True)
        Path("numbered").mkdir(exist_ok=True)
        for i in range(3):
            picture = Image.new("RGB", (8, 8), tuple(c - 5 * i for c in colour))
            picture.save(Path("photos", name, f"{i}.png"))
            picture.save(Path("numbered", f"{number:04}_{i}.png"))
    model = ["--model", "nets.py:build", "--labels", "names.json", "--size", "8"]
    return [*model, "--images", "photos", "--layer", "1"]


def written(folder: str) -> Path:
    """The folder of a run, once it is seen to hold a report and its figures."""
    assert (Path(folder) / "report.html").read_text("utf-8").startswith("<!doctype html>")
    figures = list(Path(folder, "figures").glob("*.png"))
    assert figures
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)
    return Path(folder)


@pytest.fixture
def written_in():
    """What checks the folder of a run and returns it."""
    return written

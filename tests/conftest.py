"""What every test may ask for: a torchvision that imports, and the real data where it is there."""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from captum_influence.data import bars
from captum_influence.network.torchvision_operators import declare_operators

declare_operators()  # tests import torchvision themselves


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: $CAPTUM_INFLUENCE_DATA, or ../shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CAPTUM_INFLUENCE_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real data: neither $CAPTUM_INFLUENCE_DATA nor ../shared/data is a folder")
    return folder


@pytest.fixture(autouse=True)
def _without_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of progress is due: when one would be depends on what ran before in the process."""
    monkeypatch.setattr(bars._Line, "due", math.inf)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error stream passes for a terminal, where a bar moves; capsys has a new one per phase."""
    monkeypatch.setattr(bars, "_is_watched", lambda: True)


class TwoEyes(nn.Module):
    """Channel 0 sees the red of the upper left corner, 1 the green of the lower right, 2 nothing.

    Scores: class 0 is the first eye's, class 1 the second's, class 2 minus both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.eyes = nn.Conv2d(3, 3, 4, stride=4, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(3 * 4, 3, bias=False)
        with torch.no_grad():
            self.eyes.weight.zero_()
            self.eyes.weight[0, 0] = 1.0
            self.eyes.weight[1, 1] = 1.0
            self.head.weight.zero_()
            channel = self.head.weight.view(3, 3, 2, 2)  # (classes, channels, rows, columns)
            channel[0, 0, 0, 0] = 1.0
            channel[1, 1, 1, 1] = 1.0
            channel[2, 0, 0, 0] = channel[2, 1, 1, 1] = -1.0

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.relu(self.eyes(images)).flatten(1))


@pytest.fixture
def model() -> TwoEyes:
    return TwoEyes().double().eval()


@pytest.fixture
def image() -> Tensor:
    """All of the upper half is red, and 2 × 2 pixels of the lower right corner are green."""
    image = torch.zeros(3, 8, 8, dtype=torch.float64)
    image[0, :4] = 1.0
    image[1, 5:7, 5:7] = 0.5
    return image

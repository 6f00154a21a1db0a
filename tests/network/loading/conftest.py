"""A network in a file of a user, and weights for it."""

from pathlib import Path

import pytest
import torch
from torch import nn

NETWORK = """
import torch
from {sibling} import width

class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(3, width), torch.nn.BatchNorm1d(width))

def build():
    return Net()

def instance_maker():
    from {sibling} import width  # imports may come late, too
    return Net()

ready = Net()
number = 3

def returns_number():
    return 3

def needs_argument(x):
    return Net()

def broken():
    raise RuntimeError("no GPU here")
"""


@pytest.fixture
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    sibling = f"sibling_{abs(hash(request.node.name))}"
    (tmp_path / f"{sibling}.py").write_text("width = 4\n")
    (tmp_path / "net.py").write_text(NETWORK.format(sibling=sibling))
    return tmp_path / "net.py"


@pytest.fixture
def state(file: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    return {key: torch.rand_like(value.float()) for key, value in model.state_dict().items()}

"""torchvision is imported whatever torch it was built for."""

import importlib.util
import subprocess
import sys

import pytest

DECLARED = """
from captum_influence.network.torchvision_operators import declare_operators
assert declare_operators() is declare_operators()
"""
USED = """
import torchvision.models
torchvision.models.resnet18(weights=None)
"""
BEFORE = """
import torch
kept = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    kept.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def _runs(script: str) -> None:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is a peer")
def test_its_networks_can_be_built() -> None:
    _runs(DECLARED + USED)


def test_what_others_declared_is_left_alone() -> None:
    _runs(BEFORE + DECLARED)

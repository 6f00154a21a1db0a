"""The small trained network of the demo, and the picture that it is asked about by default."""

from __future__ import annotations

from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scenes import Scene, make_scene

if TYPE_CHECKING:
    from importlib.abc import Traversable  # moved within Python; a type checker knows where

DEMO_SEED = 13
"""Seed of the default picture."""


class SceneNet(nn.Module):
    """A plain convolutional network for the demo scenes, with a class-activation head.

    Five 3×3 convolutions, each with a ReLU of its own (``conv1``, ``relu1``, ..., ``relu5``);
    max-pooling after the first, second and fourth; global average ``pool`` and one linear layer
    ``fc``, so that the score of class c is
    ``Σ_k fc.weight[c, k] · mean_hw relu5[k, h, w] + fc.bias[c]``.

    ==========  ===================  ==========  ===================
    layer       output, per image    layer       output, per image
    ==========  ===================  ==========  ===================
    ``conv1``   (16, 64, 64)         ``conv4``   (64, 16, 16)
    ``conv2``   (32, 32, 32)         ``conv5``   (96, 8, 8)
    ``conv3``   (48, 16, 16)         ``fc``      (8,)
    ==========  ===================  ==========  ===================

    Shape:
        (batch, 3, 64, 64) in [0, 1] -> scores (batch, 8) before the softmax, as in ``CLASSES``.
    """

    def __init__(self) -> None:
        """Build the layers with fresh random weights."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(32, 48, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = nn.Conv2d(48, 64, 3, padding=1)
        self.relu4 = nn.ReLU()
        self.pool4 = nn.MaxPool2d(2)
        self.conv5 = nn.Conv2d(64, 96, 3, padding=1)
        self.relu5 = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(96, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores (batch, 8) of images (batch, 3, 64, 64)."""
        features: Tensor = self.pool1(self.relu1(self.conv1(images)))
        features = self.pool2(self.relu2(self.conv2(features)))
        features = self.relu3(self.conv3(features))
        features = self.pool4(self.relu4(self.conv4(features)))
        features = self.relu5(self.conv5(features))
        scores: Tensor = self.fc(self.pool(features).flatten(1))
        return scores


def load_demo_network(weights: str | PathLike[str] | None = None) -> SceneNet:
    """Build a ``SceneNet`` in eval mode with trained weights.

    Args:
        weights: a file written by ``python -m captum_influence.demo.recipe``; None takes the
            weights in the package.

    Raises:
        ValueError: if the file does not exist.

    Example:
        >>> network = load_demo_network()
        >>> CLASSES[int(network(demo_scene().image[None]).argmax())]
        'coupe'
    """
    packaged = files("captum_influence.demo") / "weights.pt"
    return load_weights(packaged if weights is None else Path(weights))


def load_weights(source: Traversable) -> SceneNet:
    """Build a ``SceneNet`` in eval mode from a file of weights, as single precision.

    Raises:
        ValueError: if the file does not exist.
    """
    if not source.is_file():
        raise ValueError(
            f"expected a file of weights; got {str(source)!r}, which is not a file; "
            "write one with `python -m captum_influence.demo.recipe --out FILE`"
        )
    with source.open("rb") as stream:
        state = torch.load(stream, map_location="cpu", weights_only=True)
    network = SceneNet()
    network.load_state_dict(state)
    return network.eval()


def demo_scene(seed: int = DEMO_SEED) -> Scene:
    """Draw the default picture: a coupe in one colour on a meadow; its twin is the convertible."""
    return make_scene("coupe", seed=seed, texture="plain", background="meadow")

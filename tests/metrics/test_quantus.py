"""Pixel flipping against an implementation of other authors: Quantus 0.6 (LGPL), if it is there.

It isn't among the test dependencies: ``pip install --no-deps quantus==0.6.0 opencv-python-headless
scikit-image`` and what these need. Its curves are compared, and not its areas, which call
``numpy.trapz``, gone since numpy 2.
"""

import numpy as np
import pytest
import torch
from torch import nn

from captum_influence.metrics import flip_pixels

pytest.importorskip("skimage", reason="Quantus imports scikit-image")
pytest.importorskip("cv2", reason="Quantus imports OpenCV")
quantus = pytest.importorskip("quantus", reason="an optional peer")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)
    ).eval()


def curves_of_quantus(network, images, labels, maps, baseline):
    """Its scores after 1, 2, ... pixels, all three channels of one at a time."""
    channels = images.shape[1]
    # It ranks entries, not pixels: those of a pixel are told apart by less than pixels are.
    entries = maps[:, None] - 1e-6 * torch.arange(channels)[None, :, None, None]
    metric = quantus.PixelFlipping(
        features_in_step=channels,
        normalise=False,
        perturb_baseline=baseline,
        disable_warnings=True,
    )
    found = metric(
        model=network,
        x_batch=images.numpy(),
        y_batch=labels.numpy(),
        a_batch=entries.numpy(),
        softmax=False,
        device="cpu",
    )
    return torch.tensor(np.asarray(found))


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_curves_equal_quantus(network, baseline):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(4, 3, 6, 6, generator=generator)
    maps = torch.stack([torch.randperm(36, generator=generator).reshape(6, 6) for _ in range(4)])
    maps = maps.double() - 12.0
    labels = torch.tensor([0, 1, 2, 3])
    theirs = curves_of_quantus(network, images, labels, maps, baseline)
    ours = flip_pixels(
        network, images, maps, labels, replace=(baseline,), steps=36, internal_batch_size=7
    )
    curve = ours.most[str(baseline)]
    torch.testing.assert_close(curve[:, 1:].double(), theirs.double(), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        untouched = network(images)[range(4), labels]  # which Quantus leaves out
    torch.testing.assert_close(curve[:, 0], untouched)


def test_least_relevant_first_is_quantus_of_the_negative_map(network):
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(2, 3, 6, 6, generator=generator)
    maps = torch.stack([torch.randperm(36, generator=generator).reshape(6, 6) for _ in range(2)])
    maps, labels = maps.double(), torch.tensor([3, 1])
    theirs = curves_of_quantus(network, images, labels, -maps, 0.0)
    ours = flip_pixels(network, images, maps, labels, replace=(0.0,), steps=36)
    torch.testing.assert_close(
        ours.least["0.0"][:, 1:].double(), theirs.double(), atol=1e-5, rtol=1e-5
    )

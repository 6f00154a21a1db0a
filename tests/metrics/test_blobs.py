"""The blob in the middle, in closed form."""

import math

import pytest
import torch

from captum_influence.metrics.blobs import centre_prior


def test_it_falls_off_from_the_middle_alike_on_both_sides():
    blob = centre_prior(5, 9)
    assert blob.shape == (5, 9)
    assert float(blob[2, 4]) == float(blob.max()) == 1.0
    assert float(blob[0, 4]) == pytest.approx(math.exp(-2))
    assert float(blob[0, 0]) == pytest.approx(math.exp(-4))
    torch.testing.assert_close(blob, blob.flip(0).flip(1))


def test_a_single_pixel_and_none():
    assert centre_prior(1, 1).shape == (1, 1)
    with pytest.raises(ValueError, match="positive height"):
        centre_prior(0, 3)

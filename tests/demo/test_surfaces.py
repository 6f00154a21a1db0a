"""Textures and backgrounds: in closed form where there is one, and within [0, 1]."""

import numpy as np
import pytest

from captum_influence.demo.surfaces import (
    BACKGROUNDS,
    PAINTS,
    TEXTURES,
    _smooth_noise,
    random_colour,
)

TICKS = np.linspace(-0.983, 0.987, 67, dtype=np.float32)
U, V = TICKS[None, :], TICKS[:, None]


def second_tone(name, u, v):
    """Whether the second tone is laid at a point, one point at a time."""
    if name == "plain":
        return False
    if name == "stripes":
        return (4 * (u + v)) % 1 < 0.45
    if name == "dots":
        return (4.5 * u % 1 - 0.5) ** 2 + (4.5 * v % 1 - 0.5) ** 2 < 0.085
    return (np.floor(5 * u) + np.floor(5 * v)) % 2 == 0


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_equal_a_slow_loop(name):
    found = TEXTURES[name](U, V)
    slow = [[second_tone(name, float(u), float(v)) for u in TICKS] for v in TICKS]
    assert found.shape == (67, 67)
    assert (found != np.asarray(slow)).mean() < 0.01  # but for rounding at the edges


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_backgrounds_are_colours_and_follow_their_seed(name):
    def drawn(seed):
        return np.asarray(BACKGROUNDS[name](np.random.default_rng(seed), 48))

    found = drawn(0)
    assert found.shape == (48, 48, 3)
    assert 0 <= found.min() < found.max() <= 1
    assert (found == drawn(0)).all()
    assert (found != drawn(1)).any()


def test_noise_is_bilinear_between_its_knots():
    knots = np.random.default_rng(3).random((3, 3, 1), dtype=np.float32)[..., 0]
    found = _smooth_noise(np.random.default_rng(3), 5, 3)[..., 0]
    np.testing.assert_allclose(found[::2, ::2], knots, atol=1e-6)
    np.testing.assert_allclose(found[1, 1], knots[:2, :2].mean(), atol=1e-6)
    np.testing.assert_allclose(found[0, 1], knots[0, :2].mean(), atol=1e-6)


def test_random_colours_are_neither_pale_nor_dark():
    rng = np.random.default_rng(0)
    for _ in range(200):
        colour = random_colour(rng)
        assert 0.55 - 1e-9 <= max(colour) <= 0.95 + 1e-9
        assert 0.45 - 1e-9 <= 1 - min(colour) / max(colour) <= 0.95 + 1e-9
    assert all(0 <= part <= 1 for paint in PAINTS.values() for part in paint)

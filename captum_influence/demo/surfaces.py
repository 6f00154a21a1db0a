"""Colours, textures and backgrounds of the demo scenes, as arrays on the drawing grid."""

from collections.abc import Callable
from colorsys import hsv_to_rgb

import numpy as np

from captum_influence.demo.shapes import Floats, Mask

Colour = tuple[float, float, float]

PAINTS: dict[str, Colour] = {
    "dark": (0.13, 0.13, 0.16),
    "light": (0.95, 0.94, 0.88),
    "glass": (0.70, 0.86, 0.95),
    "wood": (0.46, 0.30, 0.17),
}


def random_colour(rng: np.random.Generator) -> Colour:
    """Draw a colour of any hue, never pale or dark enough to vanish on every background."""
    return hsv_to_rgb(rng.uniform(), rng.uniform(0.45, 0.95), rng.uniform(0.55, 0.95))


# Textures: where, on the object's own coordinates, the second tone is laid.


def _plain(u: Floats, v: Floats) -> Mask:
    return np.zeros(np.broadcast(u, v).shape, dtype=np.bool_)


def _stripes(u: Floats, v: Floats) -> Mask:
    return np.asarray(np.mod((u + v) * 4.0, 1.0) < 0.45)


def _dots(u: Floats, v: Floats) -> Mask:
    across, down = np.mod(u * 4.5, 1.0) - 0.5, np.mod(v * 4.5, 1.0) - 0.5
    return np.asarray(across * across + down * down < 0.085)


def _checks(u: Floats, v: Floats) -> Mask:
    return np.asarray(np.mod(np.floor(u * 5.0) + np.floor(v * 5.0), 2.0) < 0.5)


TEXTURES: dict[str, Callable[[Floats, Floats], Mask]] = {
    "plain": _plain,
    "stripes": _stripes,
    "dots": _dots,
    "checks": _checks,
}


# Backgrounds: (size, size, 3) colours on a square grid; x and y run from 0 to 1, y downward.


def _grid(size: int) -> tuple[Floats, Floats]:
    ticks = np.asarray((np.arange(size) + 0.5) / size, dtype=np.float32)
    return ticks[None, :], ticks[:, None]


def _mix(low: Colour, high: Colour, share: Floats) -> Floats:
    start, end = np.asarray(low, dtype=np.float32), np.asarray(high, dtype=np.float32)
    return np.asarray(start + (end - start) * share[..., None], dtype=np.float32)


def _smooth_noise(rng: np.random.Generator, size: int, cells: int, channels: int = 1) -> Floats:
    """Interpolate a coarse grid of uniform values bilinearly: (size, size, channels) in [0, 1]."""
    knots = rng.random((cells, cells, channels), dtype=np.float32)
    place = np.linspace(0.0, cells - 1.0, size, dtype=np.float32)
    weights = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(cells))).astype(np.float32)
    return np.asarray(np.einsum("ia,abc,jb->ijc", weights, knots, weights, optimize=True))


def _sky(rng: np.random.Generator, size: int) -> Floats:
    _, y = _grid(size)
    clouds = np.clip(_smooth_noise(rng, size, 6)[..., 0] * 2.4 - 1.3, 0.0, 0.8)
    sky = _mix((0.33, 0.58, 0.90), (0.82, 0.91, 0.98), np.broadcast_to(y, (size, size)))
    return np.asarray(sky + (1.0 - sky) * clouds[..., None])


def _meadow(rng: np.random.Generator, size: int) -> Floats:
    x, y = _grid(size)
    horizon = rng.uniform(0.45, 0.75) + 0.05 * np.sin(x * rng.uniform(3.0, 8.0) + rng.uniform(0, 6))
    grass = _mix((0.24, 0.50, 0.18), (0.58, 0.74, 0.32), _smooth_noise(rng, size, 24)[..., 0])
    return np.where((y > horizon)[..., None], grass, _sky(rng, size))


def _sea(rng: np.random.Generator, size: int) -> Floats:
    x, y = _grid(size)
    horizon = rng.uniform(0.40, 0.70)
    swell = np.sin(y * 75.0 + 1.6 * np.sin(x * rng.uniform(9.0, 15.0) + rng.uniform(0, 6)))
    water = _mix((0.05, 0.30, 0.52), (0.28, 0.58, 0.74), 0.5 + 0.5 * swell)
    above = np.broadcast_to(y <= horizon, (size, size))[..., None]
    return np.where(above, _sky(rng, size), water)


def _gradient(rng: np.random.Generator, size: int) -> Floats:
    x, y = _grid(size)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along = (x - 0.5) * np.float32(np.cos(angle)) + (y - 0.5) * np.float32(np.sin(angle))
    return _mix(random_colour(rng), random_colour(rng), np.clip(along * 0.72 + 0.5, 0.0, 1.0))


def _noise(rng: np.random.Generator, size: int) -> Floats:
    coarse, fine = _smooth_noise(rng, size, 7, 3), _smooth_noise(rng, size, 40, 3)
    return np.asarray(0.15 + 0.45 * coarse + 0.30 * fine)


def _bricks(rng: np.random.Generator, size: int) -> Floats:
    x, y = _grid(size)
    rows = rng.uniform(8.0, 12.0)
    row, phase = np.floor(y * rows), rng.uniform()
    across = np.mod(x * rows * 0.5 + 0.5 * np.mod(row, 2.0) + phase, 1.0)
    mortar = (np.mod(y * rows, 1.0) < 0.14) | (across < 0.07)
    clay = hsv_to_rgb(rng.uniform(0.0, 0.09), rng.uniform(0.3, 0.7), rng.uniform(0.5, 0.8))
    wall = np.asarray(clay) * (0.8 + 0.4 * _smooth_noise(rng, size, 16))
    return np.asarray(np.where(mortar[..., None], 0.80, wall), dtype=np.float32)


BACKGROUNDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "meadow": _meadow,
    "sea": _sea,
    "gradient": _gradient,
    "noise": _noise,
    "bricks": _bricks,
}

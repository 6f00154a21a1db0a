"""Means over pictures, and their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["interval"]


def interval(values: Sequence[float], draws: int = 2000, seed: int = 0) -> list[float]:
    """Return the mean of what was found on each picture, and its 95 % interval, over pictures."""
    found = np.asarray(values, dtype=float)
    found = found[np.isfinite(found)]
    if not len(found):
        return [float("nan")] * 3
    generator = np.random.default_rng(seed)
    means = found[generator.integers(0, len(found), (draws, len(found)))].mean(axis=1)
    return [float(found.mean()), *map(float, np.percentile(means, [2.5, 97.5]))]

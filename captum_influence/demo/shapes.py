"""Plane regions in an object's own coordinates, from which the demo pictures are cut."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Pair = tuple[float, float]


class Shape(ABC):
    """A region of the plane: ``u`` runs to the right, ``v`` downward, an object fills [-1, 1]²."""

    @abstractmethod
    def contains(self, u: Floats, v: Floats) -> Mask:
        """Say of each point (``u``, ``v``), arrays of one shape, whether it lies in the region."""


@dataclass(frozen=True)
class Ellipse(Shape):
    """The points with ``((u - centre_u) / radius_u)² + ((v - centre_v) / radius_v)² <= 1``."""

    centre: Pair
    radii: Pair

    def contains(self, u: Floats, v: Floats) -> Mask:
        """Say of each point whether it lies in the ellipse."""
        across = (u - self.centre[0]) / self.radii[0]
        down = (v - self.centre[1]) / self.radii[1]
        return np.asarray(across * across + down * down <= 1.0)


@dataclass(frozen=True)
class Box(Shape):
    """The axis-parallel rectangle between two opposite corners, upper left first."""

    upper_left: Pair
    lower_right: Pair

    def contains(self, u: Floats, v: Floats) -> Mask:
        """Say of each point whether it lies in the rectangle."""
        across = (self.upper_left[0] <= u) & (u <= self.lower_right[0])
        down = (self.upper_left[1] <= v) & (v <= self.lower_right[1])
        return np.asarray(across & down)


@dataclass(frozen=True)
class Polygon(Shape):
    """The inside of a closed polygon, by the even-odd rule."""

    corners: tuple[Pair, ...]

    def contains(self, u: Floats, v: Floats) -> Mask:
        """Count the edges that a ray to the right crosses; odd means inside."""
        inside: Mask = np.zeros(np.broadcast(u, v).shape, dtype=np.bool_)
        following = self.corners[1:] + self.corners[:1]
        for (u0, v0), (u1, v1) in zip(self.corners, following, strict=True):
            if v0 == v1:
                continue
            spans = (v0 > v) != (v1 > v)
            inside ^= spans & (u < u0 + (v - v0) * ((u1 - u0) / (v1 - v0)))
        return inside

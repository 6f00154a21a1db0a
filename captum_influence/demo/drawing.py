"""Paint a demo scene piece by piece on a grid finer than its pixels; record what went where."""

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from captum_influence.demo.layout import SIZE, Layout
from captum_influence.demo.objects import Blueprint
from captum_influence.demo.shapes import Floats, Mask
from captum_influence.demo.surfaces import BACKGROUNDS, PAINTS, TEXTURES

Item = TypeVar("Item", bound=np.generic)

_FINE = 3  # samples per pixel and axis: drawn on a grid this much finer, then averaged
_RIM = 2  # width of an outline on that grid


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture in the making, on the fine grid.

    Attributes:
        colours: (fine, fine, 3) float32, painted over in place.
        u: the object's horizontal coordinate of each column, (fine,).
        v: the object's vertical coordinate of each row, (fine,).
        layout: what to paint with.
        masks: name -> (fine, fine) bool, filled in place.
    """

    colours: Floats
    u: Floats
    v: Floats
    layout: Layout
    masks: dict[str, Mask] = field(default_factory=dict)

    @classmethod
    def start(cls, layout: Layout) -> "Drawing":
        """Paint the background."""
        fine = SIZE * _FINE
        rng = np.random.default_rng(layout.background_seed)
        colours = np.array(BACKGROUNDS[layout.background](rng, fine), dtype=np.float32)
        facing = -1.0 if layout.mirrored else 1.0
        u = np.float32(facing / layout.radius) * (_ticks() - np.float32(layout.centre[0]))
        v = np.float32(1.0 / layout.radius) * (_ticks() - np.float32(layout.centre[1]))
        empty = {name: np.zeros((fine, fine), np.bool_) for name in ("object", "part", "shortcut")}
        return cls(colours, u, v, layout, empty)

    def paint_object(self, blueprint: Blueprint) -> None:
        """Paint the pieces from back to front; a part that is not shown leaves its mask only."""
        for piece in blueprint.pieces:
            inside = piece.shape.contains(self.u[None, :], self.v[:, None])
            self.masks["part"][inside] = blueprint.is_part(piece)
            if blueprint.is_drawn(piece):
                self.masks["object"] |= inside
                self._fill(inside, piece.paint)
                self.colours[inside & ~_shrunk(inside)] *= np.float32(0.45)

    def paint_fence(self) -> None:
        """Paint the planted shortcut in the lower left corner, over whatever stands there."""
        x, y = _ticks()[None, :], _ticks()[:, None]
        posts = (np.mod(x - 2.0, 4.0) < 2.0) & (y > SIZE - 11.0)
        rails = (np.abs(y - (SIZE - 8.0)) < 1.0) | (np.abs(y - (SIZE - 4.0)) < 1.0)
        fence = (posts | rails) & (x > 1.0) & (x < 17.0) & (y < SIZE - 1.0)
        self.masks["shortcut"] |= fence
        self.masks["object"] &= ~fence
        self.masks["part"] &= ~fence
        self.colours[fence] = 1.0

    def image(self) -> Floats:
        """Average the fine grid to pixels: (3, 64, 64) in [0, 1]."""
        lit = np.clip(self.colours * np.float32(self.layout.brightness), 0.0, 1.0)
        pixels = np.add.reduce(_interleaved(lit)) / np.float32(_FINE**2)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)

    def mask(self, name: str) -> Mask:
        """Return the pixels that a region touches: (64, 64)."""
        return np.asarray(np.logical_or.reduce(_interleaved(self.masks[name])))

    def _fill(self, inside: Mask, paint: str) -> None:
        rows, columns = np.nonzero(inside)
        shade = np.float32(1.12) - np.float32(0.25) * self.v[rows]  # light falls from above
        self.colours[rows, columns] = self._colour(paint) * shade[:, None]
        if paint == "fill":
            second = TEXTURES[self.layout.texture](self.u[columns], self.v[rows])
            self.colours[rows[second], columns[second]] *= np.float32(0.55)

    def _colour(self, paint: str) -> Floats:
        layout = self.layout
        own = {"fill": layout.colour, "trim": layout.trim}
        return np.asarray(own.get(paint) or PAINTS[paint], dtype=np.float32)


def _ticks() -> Floats:
    """Return the places of the fine grid's points along one axis, in pixels."""
    return np.asarray((np.arange(SIZE * _FINE) + 0.5) / _FINE, dtype=np.float32)


def _interleaved(fine: NDArray[Item]) -> list[NDArray[Item]]:
    """Split a fine grid into pictures of one sample per pixel."""
    starts = range(_FINE)
    return [fine[row::_FINE, column::_FINE] for row in starts for column in starts]


def _shrunk(mask: Mask) -> Mask:
    """Take a rim of two thirds of a pixel off a region."""
    near, middle, far = slice(None, -2 * _RIM), slice(_RIM, -_RIM), slice(2 * _RIM, None)
    inner: Mask = mask.copy()
    inner[middle, middle] &= mask[near, middle] & mask[far, middle]
    inner[middle, middle] &= mask[middle, near] & mask[middle, far]
    return inner

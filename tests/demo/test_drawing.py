"""Painting on the fine grid: what covers what, and how a pixel comes out of it."""

from dataclasses import replace

import numpy as np
import pytest

from captum_influence.demo.drawing import _FINE, Drawing, _interleaved, _shrunk
from captum_influence.demo.layout import SIZE, Layout
from captum_influence.demo.objects import Blueprint, Piece
from captum_influence.demo.shapes import Box, Ellipse

LAYOUT = Layout(
    texture="plain",
    background="gradient",
    colour=(1.0, 0.5, 0.0),
    trim=(0.0, 0.0, 1.0),
    centre=(32.0, 32.0),
    radius=20.0,
    mirrored=False,
    brightness=1.0,
    background_seed=1,
)
BLOCK = Piece(Box((0.0, -0.5), (1.0, 0.5)), "trim")
DOT = Piece(Ellipse((-0.5, 0.0), (0.25, 0.25)), "fill", distinctive=True)


def drawn(*pieces, layout=LAYOUT, **settings):
    drawing = Drawing.start(layout)
    drawing.paint_object(Blueprint(pieces, **settings))
    return drawing


def columns(mask):
    """The first column of a mask and the one after its last."""
    found = np.flatnonzero(mask.any(0))
    return found[0], found[-1] + 1


def test_pieces_lie_where_their_coordinates_say():
    mask = drawn(BLOCK).mask("object")
    assert columns(mask) == (32, 52)  # from the centre, as far as the radius
    assert columns(mask.T) == (22, 42)
    mirrored = drawn(BLOCK, layout=replace(LAYOUT, mirrored=True)).mask("object")
    assert columns(mirrored) == (12, 32)
    assert (mirrored == mask[:, ::-1]).all()


def test_a_mask_holds_every_pixel_that_a_region_touches():
    drawing = drawn(DOT)
    slow = np.zeros((SIZE, SIZE), dtype=bool)
    for row, column in np.argwhere(drawing.masks["object"]):
        slow[row // _FINE, column // _FINE] = True
    assert (drawing.mask("object") == slow).all()


def test_a_pixel_is_the_mean_of_its_points():
    drawing = drawn(BLOCK, layout=replace(LAYOUT, brightness=1.15))
    lit = np.clip(1.15 * drawing.colours, 0, 1).reshape(SIZE, _FINE, SIZE, _FINE, 3)
    np.testing.assert_allclose(drawing.image(), lit.mean((1, 3)).transpose(2, 0, 1), atol=1e-6)


def test_paints_are_lit_from_above_and_outlined():
    drawing = drawn(BLOCK)
    fine = SIZE * _FINE // 2
    inner = drawing.colours[fine - 10 : fine + 10, fine + 20 : fine + 40, 2]
    shade = 1.12 - 0.25 * drawing.v[fine - 10 : fine + 10]
    np.testing.assert_allclose(inner, np.broadcast_to(shade[:, None], inner.shape), rtol=1e-5)
    edge = drawing.colours[fine, 3 * 32, 2]  # the outline is darker
    assert edge == pytest.approx(0.45 * drawing.colours[fine, 3 * 40, 2], rel=1e-5)


def test_a_part_that_is_not_shown_leaves_its_mask_only():
    shown, hidden = (drawn(BLOCK, DOT, twin="twin", shows_part=s) for s in (True, False))
    assert (shown.mask("part") == hidden.mask("part")).all()
    assert shown.mask("part").any()
    empty = Drawing.start(LAYOUT)
    part = shown.masks["part"]
    assert (hidden.colours[part] == empty.colours[part]).all()
    assert not (hidden.masks["object"] & part).any()


def test_what_is_painted_later_covers_the_part():
    cover = Piece(Box((-1.0, -0.5), (0.0, 0.5)), "dark")
    drawing = drawn(DOT, cover, twin="twin")
    assert not drawing.mask("part").any()
    assert drawing.mask("object").any()


def test_the_fence_stands_in_the_corner_and_covers_the_object():
    layout = replace(LAYOUT, centre=(12.0, 52.0), radius=10.0)
    drawing = drawn(Piece(Box((-1, -1), (1, 1)), "fill"), layout=layout)
    drawing.paint_fence()
    fence = drawing.masks["shortcut"]
    assert (drawing.colours[fence] == 1).all()
    assert not (fence & drawing.masks["object"]).any()
    assert columns(drawing.mask("shortcut")) == (1, 17)
    assert columns(drawing.mask("shortcut").T) == (SIZE - 11, SIZE - 1)
    rows = drawing.mask("shortcut")[:, 1:17]
    assert rows[SIZE - 8].all()  # a rail
    assert not rows[SIZE - 6].all()  # between the posts


def test_the_fine_grid_falls_apart_into_pictures():
    fine = np.arange(36).reshape(6, 6)
    parts = _interleaved(fine)
    assert len(parts) == 9
    assert parts[4].tolist() == [[7, 10], [25, 28]]


def test_a_rim_is_taken_off():
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:15, 4:16] = True
    expected = np.zeros_like(mask)
    expected[7:13, 6:14] = True
    assert (_shrunk(mask) == expected).all()

"""Regions of the plane: their areas, their edges, and what lies inside."""

import numpy as np
import pytest

from captum_influence.demo.shapes import Box, Ellipse, Polygon


def inside(shape, *points):
    u, v = np.asarray(points, dtype=np.float32).T
    return shape.contains(u, v).tolist()


@pytest.mark.parametrize(
    "shape",
    [
        Box((-0.5, -0.25), (0.5, 0.25)),
        Polygon(((-0.5, -0.25), (0.5, -0.25), (0.5, 0.25), (-0.5, 0.25))),
        Polygon(((0.0, -0.5), (1.0, 0.5), (0.0, 0.5))),
        Ellipse((0.1, 0.0), (0.5, 1 / np.pi)),
    ],
)
def test_areas_of_shapes(shape):
    ticks = np.linspace(-1, 1, 801, dtype=np.float32)
    share = shape.contains(ticks[None, :], ticks[:, None]).mean()
    assert abs(share * 4 - 0.5) < 0.01  # each of them covers half a unit of area


def test_edges_of_boxes_and_ellipses_belong_to_them():
    assert inside(Box((0, 0), (1, 2)), (0, 0), (1, 2), (1.01, 1), (0.5, -0.01)) == [1, 1, 0, 0]
    ellipse = Ellipse((1, 0), (2, 0.5))
    assert inside(ellipse, (3, 0), (-1, 0), (1, 0.5), (3, 0.5), (3.01, 0)) == [1, 1, 1, 0, 0]


def test_a_polygon_is_inside_out_where_it_crosses_itself():
    star = tuple((np.sin(4 * np.pi * k / 5), -np.cos(4 * np.pi * k / 5)) for k in range(5))
    assert inside(Polygon(star), (0.0, -0.8), (0.0, 0.0), (0.0, 0.8)) == [1, 0, 0]


def test_a_polygon_may_start_at_any_corner():
    corners = ((-0.4, -0.5), (0.6, -0.1), (0.1, 0.7))
    ticks = np.linspace(-1, 1, 41, dtype=np.float32)
    found = [
        Polygon(corners[k:] + corners[:k]).contains(ticks[None, :], ticks[:, None])
        for k in range(3)
    ]
    assert found[0].shape == (41, 41)
    assert all((other == found[0]).all() for other in found)

"""What a scene shows besides its class: drawn at random, inside the picture, and checked."""

import numpy as np
import pytest

from captum_influence.demo.layout import SIZE, Layout, check_colour, check_name


def layouts(count):
    rng = np.random.default_rng(0)
    return [Layout.draw(rng) for _ in range(count)]


def test_a_drawn_object_lies_inside_the_picture():
    for layout in layouts(200):
        for middle in layout.centre:
            assert layout.radius + 1 <= middle <= SIZE - layout.radius - 1
        assert 0.75 <= layout.brightness <= 1.15
        assert not layout.shortcut


def test_draws_are_the_same_from_the_same_seed_and_differ_from_each_other():
    first, second = layouts(50), layouts(50)
    assert first == second
    assert len(set(first)) == 50


def test_a_name_is_one_of_the_known():
    check_name("paint", "red", {"red": 1, "blue": 2})
    with pytest.raises(ValueError, match=r"expected paint to be one of \['red'\]; got 'pink'"):
        check_name("paint", "pink", {"red": 1})


@pytest.mark.parametrize("colour", [(0.1, 0.2), (0.0, 0.5, 1.01), (-0.1, 0.0, 0.0)])
def test_a_colour_is_three_numbers_up_to_one(colour):
    check_colour("colour", (0.0, 0.5, 1.0))
    with pytest.raises(ValueError, match=r"three numbers in \[0, 1\]; got"):
        check_colour("colour", colour)

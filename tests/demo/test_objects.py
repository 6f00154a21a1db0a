"""The pieces of each class: inside the object's square, in known paints, and twins that share."""

import numpy as np
import pytest

from captum_influence.demo.objects import BLUEPRINTS, CLASSES
from captum_influence.demo.surfaces import PAINTS

WIDE = np.linspace(-1.5, 1.5, 121, dtype=np.float32)


def test_twins_name_each_other():
    for name, blueprint in BLUEPRINTS.items():
        if blueprint.twin is not None:
            assert BLUEPRINTS[blueprint.twin].twin == name


@pytest.mark.parametrize("name", CLASSES)
def test_pieces_lie_in_the_square_and_are_painted(name):
    outside = (np.abs(WIDE[None, :]) > 1.001) | (np.abs(WIDE[:, None]) > 1.001)
    for piece in BLUEPRINTS[name].pieces:
        covered = piece.shape.contains(WIDE[None, :], WIDE[:, None])
        assert covered.any()
        assert not (covered & outside).any()
        assert piece.paint in {"fill", "trim", *PAINTS}


@pytest.mark.parametrize(
    ("having", "lacking"), [("coupe", "convertible"), ("sailboat", "motorboat")]
)
def test_twins_share_their_pieces_and_one_lacks_the_part(having, lacking):
    shown, hidden = BLUEPRINTS[having], BLUEPRINTS[lacking]
    assert shown.pieces == hidden.pieces
    part = [piece for piece in shown.pieces if shown.is_part(piece)]
    assert part == [piece for piece in shown.pieces if piece.distinctive]
    assert 0 < len(part) < len(shown.pieces)
    assert all(map(shown.is_drawn, shown.pieces))
    assert [piece for piece in hidden.pieces if not hidden.is_drawn(piece)] == part


def test_without_a_twin_every_piece_is_the_part():
    house = BLUEPRINTS["house"]
    assert all(house.is_part(piece) and house.is_drawn(piece) for piece in house.pieces)

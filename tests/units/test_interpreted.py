"""A unit that matters, with what it responds to and its examples."""

import json

import pytest
import torch

from captum_influence.units.interpreted import Example, InterpretedUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.units.shown.series import SeriesDisplay

PICTURE = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
DISPLAY = PictureDisplay(PICTURE, 95.0, 0.0)
UNIT = UnitInfluence("channel", (3,), 2.0, 0.5)


def example(**settings) -> Example:
    told = {"kind": "activation", "number": 4, "label": 1, "value": 2.5, "display": DISPLAY}
    return Example(**told | settings)


def test_an_example_shows_what_its_unit_sees() -> None:
    assert torch.equal(example().image, PICTURE)
    assert example().crop is None
    assert torch.equal(example(box=(1, 2, 4, 7)).crop, PICTURE[:, 1:4, 2:7])


def test_what_is_no_picture_has_none() -> None:
    series = example(display=SeriesDisplay(torch.rand(1, 5)))
    with pytest.raises(AttributeError, match="no attribute 'picture'"):
        _ = series.image
    assert series.crop is None


def test_a_unit_knows_what_its_highlight_knows() -> None:
    values = torch.zeros(6, 8)
    values[2, 3] = 1.0
    row = InterpretedUnit(unit=UNIT, seen=DISPLAY.highlight(values), examples=(example(),))
    assert torch.equal(row.map, values)
    assert row.regions == row.seen.regions
    assert row.box == row.seen.box
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = row.nothing_of_the_kind
    with pytest.raises(AttributeError):
        _ = row._private
    series = SeriesDisplay(torch.rand(1, 4)).highlight(torch.rand(4))
    assert not hasattr(InterpretedUnit(unit=UNIT, seen=series), "crop")


def test_both_become_dicts() -> None:
    seen = DISPLAY.highlight(torch.ones(6, 8))
    content = InterpretedUnit(unit=UNIT, seen=seen, examples=(example(label_name="dog"),)).to_dict()
    content = json.loads(json.dumps(content))
    assert content["unit"]["name"] == "channel 3"
    assert content["examples"] == [
        {
            "kind": "activation",
            "number": 4,
            "label": 1,
            "label_name": "dog",
            "value": 2.5,
            "box": None,
        }
    ]
    assert content["map_total"] == 48.0

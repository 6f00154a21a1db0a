"""The few inputs on which a unit contributes most, and what of them that comes from."""

import math

import pytest
import torch
from eyeing import twin_scenes

from captum_influence import ClassScore
from captum_influence.attr.distributions import Point
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis
from captum_influence.units.exemplars import Examiner, Podium
from captum_influence.units.measurement import Measurement
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.units_of import UnitsOf

INPUTS = torch.arange(6.0)[:, None]
LABELS = torch.arange(6)
NAMES = ["red", "green", "dark"]
EYES = [UnitInfluence("channel", (i,), 0.0, 0.5) for i in (0, 1)]


def admitted(values, count: int, batch: int) -> list[list[tuple[int, float]]]:
    podium = Podium(count)
    column = torch.tensor(values)
    for start in range(0, len(column), batch):
        rows = slice(start, start + batch)
        numbers = list(range(6))[rows]
        podium.admit(column[rows], numbers, INPUTS[rows], LABELS[rows])
    return [[(case.number, case.value) for case in places] for places in podium.places]


@pytest.mark.parametrize("batch", [1, 2, 6])
def test_the_largest_win_in_whatever_batches_they_come(batch: int) -> None:
    values = [[3.0, 1.0], [1.0, 5.0], [2.0, 5.0], [4.0, -1.0], [3.0, 0.0], [0.0, 2.0]]
    assert admitted(values, 3, batch) == [
        [(3, 4.0), (0, 3.0), (4, 3.0)],  # of equals, the first in the loader
        [(1, 5.0), (2, 5.0), (5, 2.0)],
    ]


def test_minus_infinity_does_not_take_part() -> None:
    values = [[-math.inf], [-1.0], [-math.inf], [-math.inf], [-2.0], [-math.inf]]
    assert admitted(values, 3, 2) == [[(1, -1.0), (4, -2.0)]]


def test_what_wins_is_remembered_whole() -> None:
    podium = Podium(1)
    podium.admit(torch.tensor([[1.0], [2.0]]), [7, 8], INPUTS[2:4], LABELS[2:4])
    ((case,),) = podium.places
    assert (case.number, case.label, case.inputs.tolist()) == (8, 3, [3.0])


@pytest.fixture
def examiner(model) -> Examiner:
    asked = ClassScore(0) - ClassScore(1)
    measurement = Measurement(model, UnitsOf("relu"), asked, Point())
    return Examiner(
        measurement, Axis.ensure("channel", (3, 2, 2)), Shown(class_names=NAMES, smoothing=0.0)
    )


def podium() -> Podium:
    """For the first eye a red picture, for the second a green one and the red one."""
    ((images, labels),) = twin_scenes()
    found = Podium(2)
    values = torch.tensor([[16.0, 1.6], [-math.inf, 12.8]])
    found.admit(values, [0, 3], images[[0, 3]], labels[[0, 3]])
    return found


def test_examples_are_named_and_shown(examiner) -> None:
    first, second = examiner.examples(podium().places[1], "contribution")
    assert (first.label_name, first.number, first.value) == ("green", 3, pytest.approx(12.8))
    assert second.label_name == "red"
    assert first.kind == "contribution"
    assert first.image.shape == (3, 8, 8)


def test_looks_show_what_each_entry_passes_on_through_the_unit(examiner) -> None:
    own, other = examiner.looks(EYES, podium(), "contribution", lowest=[False, True])
    (red,) = own
    corner = torch.zeros(8, 8, dtype=torch.float64)
    corner[:4, :4] = 1.0  # red of 1, each pixel with weight 1
    torch.testing.assert_close(red.seen.map, corner)
    assert torch.equal(red.seen.mask, corner > 0)
    assert red.seen.unit.value == 16.0
    green, little = other
    corner = corner.flip(0, 1)
    torch.testing.assert_close(green.seen.map, -0.8 * corner)  # it lowers the score
    assert torch.equal(green.seen.mask, corner > 0)
    torch.testing.assert_close(little.seen.map, -0.1 * corner)


def test_an_input_that_several_units_share_is_asked_once(examiner, monkeypatch) -> None:
    asked = []
    maps = Measurement.maps

    def counted(self, inputs, axis, indices):
        asked.append(list(indices))
        return maps(self, inputs, axis, indices)

    monkeypatch.setattr(Measurement, "maps", counted)
    examiner.looks(EYES, podium(), "contribution")
    assert sorted(asked) == [[(0,), (1,)], [(1,)]]


def test_a_look_as_json_leaves_the_picture_out(examiner) -> None:
    ((red,), _) = examiner.looks(EYES, podium(), "contribution")
    told = red.to_dict()
    assert (told["number"], told["label"], told["value"]) == (0, 0, 16.0)
    assert set(told) == {"number", "label", "value", "regions", "box"}

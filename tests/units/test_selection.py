"""Units as users name them, and which entries of a layer they are."""

import math

import pytest
import torch

from captum_influence import rank_units
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.selection import Selection

SHAPE = (3, 2, 2)  # channels, height, width


def mask(units, axis=None, heads=None, shape=SHAPE) -> torch.Tensor:
    return Selection.ensure(units, axis, heads).mask(shape)


def test_units_are_channels_neurons_positions_or_groups() -> None:
    expected = torch.zeros(4, *SHAPE, dtype=torch.bool)
    expected[0, 1] = True
    expected[1, 1, 0, 1] = True
    expected[2, :, 1, 1] = True
    expected[3, [0, 2]] = True
    assert torch.equal(mask([1]), expected[0])
    assert torch.equal(mask(1), expected[0])
    assert torch.equal(mask([(1, 0, 1)]), expected[1])
    assert torch.equal(mask([(1, 1)], "position"), expected[2])
    assert torch.equal(mask([1], {"a": [1], "b": [0, 2]}), expected[3])


def test_heads_are_parts_of_the_last_dimension() -> None:
    assert mask([1], "head", 3, (2, 6)).tolist() == [[False] * 2 + [True] * 2 + [False] * 2] * 2


def test_a_ranking_brings_its_axis_and_so_do_its_units() -> None:
    ranking = rank_units(torch.rand(1, *SHAPE), axis="position", top=1)
    assert Selection.ensure(ranking).axis is ranking.axis
    assert Selection.ensure(list(ranking)).axis == "position"
    assert torch.equal(mask(ranking), mask(list(ranking)))
    mixed = [ranking[0], UnitInfluence("channel", (1,), 1.0, 1.0)]
    assert Selection.ensure(mixed).axis == "channel"  # what isn't said is a channel


def test_masks_are_one_for_each_in_their_order() -> None:
    selection = Selection.ensure([2, 0])
    found = selection.masks(SHAPE)
    assert [torch.equal(found[i], mask([unit])) for i, unit in enumerate((2, 0))] == [True, True]
    assert (len(selection), selection.first(1).indices) == (2, ((2,),))


def test_units_are_named_as_a_ranking_names_them() -> None:
    ranking = rank_units(torch.rand(1, *SHAPE), axis={"wheels": [0, 2], "roof": [1]})
    again = Selection.ensure(ranking).units(SHAPE, "relu")
    assert [unit.name for unit in again] == [f"{unit.name} of relu" for unit in ranking]
    neuron, channel = Selection.ensure([(1, 0, 1), 2]).units(SHAPE)
    assert (neuron.name, channel.name) == ("neuron (1, 0, 1)", "channel 2")
    assert math.isnan(channel.value)


@pytest.mark.parametrize(
    ("units", "error", "message"),
    [
        ("all", TypeError, "a ranking or a list of channel numbers.* got str"),
        ([1.5], TypeError, "a channel number, .* got float"),
        ([3], ValueError, r"no channel \(3,\) in a layer of shape \(examples, 3, 2, 2\)"),
        ([-1], ValueError, "count from 0"),
        ([(0, 0)], ValueError, "1 ints, or a neuron as 3, .* got 2"),
    ],
)
def test_what_is_no_unit_says_what_came(units, error, message) -> None:
    with pytest.raises(error, match=message):
        mask(units)

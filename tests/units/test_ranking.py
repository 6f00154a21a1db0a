"""What every unit of a layer did, pooled, and its units by name."""

import dataclasses
import math

import pytest
import torch

from captum_influence.units.axes import Axis
from captum_influence.units.ranking import UnitInfluence, UnitValues

CHANNELS = Axis.ensure("channel", (3,))


def pooled(values, **settings) -> UnitValues:
    return UnitValues.pooled(torch.tensor(values), CHANNELS, **settings)


def test_units_are_called_by_their_number_their_label_and_their_layer() -> None:
    unit = UnitInfluence("channel", (17,), 1.0, 0.5)
    assert unit.name == "channel 17"
    assert UnitInfluence("neuron", (1, 0, 2), 1.0, 0.5).name == "neuron (1, 0, 2)"
    assert dataclasses.replace(unit, layer="layer3").name == "channel 17 of layer3"
    assert dataclasses.replace(unit, label="wheels", layer="layer3").name == "wheels of layer3"
    assert unit.to_dict()["name"] == "channel 17"
    with pytest.raises(dataclasses.FrozenInstanceError):
        unit.value = 0.0


def test_means_and_their_standard_errors_are_those_of_the_examples() -> None:
    values = torch.rand(5, 3, 4, 2, generator=torch.Generator().manual_seed(0)).double()
    axis = Axis.ensure("channel", (3, 4, 2))
    found = UnitValues.pooled(values, axis)
    each = values.sum((2, 3))
    torch.testing.assert_close(found.values, each.mean(0))
    for channel in range(3):
        column = each[:, channel].tolist()
        squares = sum((value - sum(column) / 5) ** 2 for value in column)
        assert float(found.standard_errors[channel]) == pytest.approx(math.sqrt(squares / 4 / 5))
    assert UnitValues.pooled(values[:1], axis).standard_errors is None


def test_ties_keep_their_order_and_the_lowest_come_first_among_those_against() -> None:
    found = pooled([[1.0, -3.0, 1.0]])
    assert [unit.index for unit in found.highest()] == [(0,), (2,), (1,)]
    assert [unit.index for unit in found.highest(1)] == [(0,)]
    assert [unit.index for unit in found.against(3)] == [(1,)]
    assert [unit.share for unit in found.highest()] == pytest.approx([0.2, 0.2, -0.6])


def test_shares_are_of_a_change_if_there_is_one_and_zero_of_nothing() -> None:
    assert [u.share for u in pooled([[1.0, -3.0, 2.0]], change=-4.0).highest()] == [
        0.5,
        0.25,
        -0.75,
    ]
    assert [u.share for u in pooled([[0.0, 0.0, 0.0]]).highest()] == [0.0, 0.0, 0.0]


def test_activations_and_references_are_pooled_alike() -> None:
    axis = Axis.ensure("channel", (2, 2))  # tokens (2, features 2)
    activations = torch.tensor([[[3.0, 1.0], [5.0, 7.0]]])
    found = UnitValues.pooled(activations * 0 + 1, axis, "mean", activations, 0.5, layer="mix")
    first = found.unit(0)
    assert (first.activation, first.reference, first.layer) == (4.0, 0.5, "mix")
    assert first.standard_error is None


def test_half_precision_is_averaged_in_single() -> None:
    values = torch.full((300, 3), 1.0, dtype=torch.bfloat16)
    values[:150] = 1.0078125  # the next number; bfloat16 has none between
    found = UnitValues.pooled(values, CHANNELS)
    assert found.values.dtype == torch.float32
    assert found.values.tolist() == pytest.approx([1.00390625] * 3)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: pooled([[1.0, math.nan, 2.0]]), "holds NaN"),
        (lambda: pooled([[1.0, 2.0, 3.0]], aggregate="median"), "got 'median'"),
        (lambda: pooled([[1.0, 2.0, 3.0]]).highest(0), "positive number of units, got 0"),
    ],
)
def test_what_can_not_be_ranked(made, message) -> None:
    with pytest.raises(ValueError, match=message):
        made()

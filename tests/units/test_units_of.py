"""The units of a layer, made once at the door."""

import attending
import pytest
import torch
from torch import nn

from captum_influence import Anatomy, Cut
from captum_influence.network.anatomy.parts import Neurons
from captum_influence.units.units_of import UnitsOf


def test_a_layer_s_channels_are_its_units_unless_it_is_said() -> None:
    units = UnitsOf.ensure("layer3")
    assert (units.axis, units.heads, units.aggregate) == ("channel", None, "sum")
    assert UnitsOf.ensure(units) is units


@pytest.mark.parametrize("layer", ["relu", nn.ReLU(), Cut("relu", "input")])
def test_they_know_their_cut(layer) -> None:
    cut = UnitsOf(layer).cut
    assert isinstance(cut, Cut)
    assert (cut is layer) == isinstance(layer, Cut)


@pytest.mark.parametrize(
    ("axis", "heads", "shape", "name", "sizes"),
    [
        ("channel", None, (4, 3, 3), "channel", (4,)),
        ("position", None, (4, 2, 3), "position", (2, 3)),
        ("neuron", None, (4,), "neuron", (4,)),
        ("head", 2, (5, 6), "head", (2,)),
        (3, None, (1, 2, 7), "unit", (7,)),
        ({"a": [0], "b": [1, 2]}, None, (3,), "group", (2,)),
    ],
)
def test_they_find_their_axis_in_a_layer_of_a_shape(axis, heads, shape, name, sizes) -> None:
    network = nn.Sequential(nn.Identity())
    found = UnitsOf("0", axis, heads).along(shape, network, torch.zeros(1, *shape))
    assert (found.name, found.sizes) == (name, sizes)


def test_what_is_no_pooling_or_no_layer_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="got 'median'"):
        UnitsOf("relu", aggregate="median")
    with pytest.raises(TypeError, match="as a layer, got NoneType"):
        UnitsOf(None)
    with pytest.raises(ValueError, match="no positions"):
        UnitsOf("0", "position").along((4,), nn.Sequential(nn.Identity()), torch.zeros(1, 4))


def test_neurons_and_heads_are_layers_whose_units_are_named() -> None:
    model, x = attending.encoder(), torch.randn(1, 5, attending.WIDTH, dtype=torch.float64)
    block = Anatomy.of(model, x).blocks[0]
    assert isinstance(block.neurons, Neurons)
    heads = UnitsOf(block.attentions[0])
    assert (heads.axis, heads.heads) == ("head", 4)
    assert heads.along((5, 8), model, x).sizes == (4,)
    pairs = UnitsOf(block.attentions[0], axis=("position", "head")).along((5, 8), model, x)
    assert (pairs.sizes, pairs.label((3, 1))) == ((5, 4), "head 1 at position 3")
    assert UnitsOf(block.neurons).along((5, 12), model, x).sizes == (12,)

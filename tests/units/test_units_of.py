"""The units of a layer, made once at the door."""

import attending
import pytest
import torch
import transformed
from torch import Tensor, nn

from captum_influence import (
    Anatomy,
    Cut,
    DistributionalInfluence,
    Point,
    counterfactual,
    explain,
    rank_units,
)
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


def test_heads_of_windows_are_units_that_are_removed_as_by_hand() -> None:
    model, batch = transformed.built("Swin", "sdpa"), transformed.batch("Swin")
    picture = batch["pixel_values"]
    attention = Anatomy.of(model, batch).attentions[1]
    found = explain(model, picture[0], attention, 1, versus=2, overlay=False)
    lost = _without(model, picture[:1], attention.output, (), 0)
    for shown, alone in zip(found.units, found.effects.alone, strict=True):
        (head,) = shown.unit.index
        by_hand = lost - _without(model, picture[:1], attention.output, (head,), 4)
        assert float(alone) == pytest.approx(by_hand, abs=1e-9)
    measure = DistributionalInfluence(model, attention.cut, distribution=Point(), quantity=1)
    influence = measure.attribute(picture)
    ranked = rank_units(influence, axis="head", heads=2)
    summed = influence.unflatten(-1, (2, -1)).sum((1, 2, 4)).mean(0)  # windows, positions, features
    for unit in ranked.units:
        assert unit.value == pytest.approx(float(summed[unit.index[0]]), abs=1e-12)
    other = counterfactual(model, picture[0], attention, true=_other(model, picture), max_units=1)
    assert other.layer == f"{attention.output} (input)"


def _other(model: nn.Module, picture: Tensor) -> int:
    return (int(model(picture[:1]).logits.argmax()) + 1) % 3


def _without(
    model: nn.Module, picture: Tensor, name: str, heads: tuple[int, ...], size: int
) -> float:
    """Return a score's lead, with heads' features zero for all windows at once."""

    def zeroed(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        kept = args[0].clone()
        for head in heads:
            kept[..., head * size : (head + 1) * size] = 0
        return (kept, *args[1:])

    handle = model.get_submodule(name).register_forward_pre_hook(zeroed)
    with torch.no_grad():
        scores = model(picture).logits[0]
    handle.remove()
    return float(scores[1] - scores[2])

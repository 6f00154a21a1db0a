"""Maps of any method laid on the inputs: by hand, and where they can't be."""

import pytest
import torch
from torch import nn

from captum_influence import compare
from captum_influence.methods.alignment import aligned, size_of, together
from captum_influence.methods.catalogue import NotApplicable
from captum_influence.units.geometry import Geometry


@pytest.mark.parametrize(
    ("shape", "size"), [((2, 3, 8, 6), (8, 6)), ((2, 7, 5), (7, 5)), ((2, 5), (1, 5))]
)
def test_inputs_count_as_pictures(shape, size):
    assert size_of(torch.zeros(shape)) == size


def test_colours_of_pictures_are_added_and_other_inputs_kept():
    values = torch.arange(24.0).reshape(1, 2, 3, 4)
    torch.testing.assert_close(aligned(values, "input", values, None)[0, 0], values[0].sum(0))
    steps = torch.rand(2, 7, 5)
    assert torch.equal(aligned(steps, "input", steps, None), steps[:, None])
    rows = torch.rand(2, 5)
    assert torch.equal(aligned(rows, "input", rows, None), rows[:, None, None])


def test_a_layer_without_geometry_divides_the_picture_evenly():
    values, picture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.zeros(1, 3, 4, 4)
    found = aligned(values, "layer", picture, None)
    assert found.shape == (1, 1, 4, 4)
    # bilinear between the centres of the quarters; beyond them the quarter's own value
    torch.testing.assert_close(found[0, 0, [0, 0, 3, 3], [0, 3, 0, 3]], values.flatten())
    torch.testing.assert_close(found[0, 0, 1, 1], torch.tensor(1.75))


def test_steps_of_a_sequence_are_alike_for_all_its_features():
    tokens = torch.rand(2, 7, 6)
    found = aligned(tokens, "layer", torch.zeros(2, 7, 5), None)
    torch.testing.assert_close(found, tokens.sum(2)[:, None, :, None].expand(2, 1, 7, 5))


@pytest.mark.parametrize("class_token", [False, True])
def test_tokens_of_a_picture_are_its_patches(class_token):
    patches = torch.rand(1, 2, 4, 3)  # of a picture of 8 by 4: twice as many down as across
    tokens = patches.reshape(1, 8, 3)
    given = torch.cat([torch.full((1, 1, 3), 9.0), tokens], 1) if class_token else tokens
    found = aligned(given, "layer", torch.zeros(1, 3, 8, 4), None)
    grid = tokens.sum(2).reshape(1, 1, 4, 2)
    expected = Geometry.even((4, 2), (8, 4)).enlarged(grid)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.zeros(1, 6), "has no places"),
        (torch.zeros(1, 7, 3), "7 tokens form no grid over inputs of 8 by 8"),
    ],
)
def test_what_has_no_places_is_refused(values, message):
    with pytest.raises(NotApplicable, match=message):
        aligned(values, "layer", torch.zeros(1, 3, 8, 8), None)


def test_maps_of_a_layer_lie_where_its_places_look():
    model = nn.Sequential(
        nn.Conv2d(3, 2, 11, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 81, 3)
    )
    images = torch.rand(1, 3, 43, 43)
    found = compare(model, images, "1", 0, ["LayerActivation"])
    assert found.geometry == Geometry((43, 43), (5.0, 5.0), (4.0, 4.0))
    activation = model[:2](images).sum(1).detach()
    lying = found.maps["LayerActivation"][0, 0, 5::4, 5::4][:9, :9]
    torch.testing.assert_close(lying, activation[0])


def test_maps_are_together_that_differ_nowhere_by_a_thousandth_of_the_largest_entry():
    first = torch.tensor([[1.0, -4.0], [0.0, 2.0]])
    near, far = first + torch.tensor([0.0, 0.003]), first + torch.tensor([0.0, 0.005])
    maps = {"a": first, "b": far, "c": near, "d": -first, "e": torch.zeros(2, 2)}
    assert together(maps) == [("a", "c"), ("b",), ("d",), ("e",)]
    assert together({"a": torch.zeros(2), "b": torch.zeros(2)}) == [("a", "b")]

import pytest
import torch
from torch import nn

from captum_influence import PredictedClass
from captum_influence.metrics import flip_pixels


class Weighted(nn.Module):
    """Class 0 scores the weighted sum of the pixels, class 1 the opposite."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images):
        score = (images * self.weights).sum((1, 2, 3))
        return torch.stack([score, -score], 1)


@pytest.fixture
def linear():
    weights = torch.tensor([[[4.0, 3.0], [-1.0, 0.5]]], dtype=torch.float64)
    return Weighted(weights), torch.ones(2, 1, 2, 2, dtype=torch.float64), weights.expand(2, 2, 2)


def test_curves_of_a_linear_network_in_closed_form(linear):
    model, inputs, maps = linear
    found = flip_pixels(model, inputs, maps, 0, replace=(0.0,), steps=4, internal_batch_size=3)
    most = torch.tensor([6.5, 2.5, -0.5, -1.0, 0.0], dtype=torch.float64)
    least = torch.tensor([6.5, 7.5, 7.0, 4.0, 0.0], dtype=torch.float64)
    for example in range(2):
        torch.testing.assert_close(found.most["0.0"][example], most)
        torch.testing.assert_close(found.least["0.0"][example], least)
    assert found.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    aopc, abpc = (6.5 - most).mean(), (least - most).mean()
    torch.testing.assert_close(found.aopc("0.0"), aopc.expand(2))
    torch.testing.assert_close(found.abpc("0.0"), abpc.expand(2))


def test_a_random_order_lies_in_between_and_tends_to_the_straight_line(linear):
    model, inputs, maps = linear
    found = flip_pixels(model, inputs, maps, 0, replace=(0.0,), steps=4, draws=400)
    line = 6.5 * (1 - found.shares.double())
    torch.testing.assert_close(found.random["0.0"][0], line, atol=0.3, rtol=0)
    assert (found.control("0.0") < found.aopc("0.0")).all()


def test_a_constant_map_is_flipped_at_random(linear):
    model, inputs, _ = linear
    found = flip_pixels(model, inputs.expand(-1, -1, 2, 2), torch.zeros(2, 2, 2), 0, replace=(0.0,))
    again = flip_pixels(model, inputs, torch.zeros(2, 2, 2), 0, replace=(0.0,))
    assert torch.equal(found.most["0.0"], again.most["0.0"])
    assert not torch.equal(found.most["0.0"], found.least["0.0"])


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_squares_equal_a_slow_loop(patch):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    maps = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    model = Weighted(torch.randn(3, 5, 4, generator=generator, dtype=torch.float64))
    fill = inputs.mean((2, 3), keepdim=True).expand_as(inputs)
    corners = [(y, x) for y in range(0, 5, patch) for x in range(0, 4, patch)]
    found = flip_pixels(
        model,
        inputs,
        maps,
        [0, 1],
        replace=("mean",),
        steps=len(corners),
        patch=patch,
        internal_batch_size=7,
    )
    for example in range(2):

        def relevance(corner, example=example):
            y, x = corner
            return -float(maps[example, y : y + patch, x : x + patch].sum())

        picture = inputs[example : example + 1].clone()
        expected = [model(picture)[0, example].item()]
        for y, x in sorted(corners, key=relevance):
            area = (..., slice(y, y + patch), slice(x, x + patch))
            picture[area] = fill[example : example + 1][area]
            expected.append(model(picture)[0, example].item())
        assert found.most["mean"][example].tolist() == pytest.approx(expected)


def test_several_fills_predicted_class_and_output(linear):
    model, inputs, maps = linear
    fills = ("mean", "blur", torch.zeros(1, 2, 2))
    found = flip_pixels(model, inputs, maps[:, None], PredictedClass(), replace=fills, steps=2)
    assert list(found.most) == ["mean", "blur", "tensor 2"]
    torch.testing.assert_close(found.most["mean"], found.least["mean"])  # the picture is its mean
    assert len(found.columns()["score"]) == 3 * 3 * 2 * 3


def test_wrong_arguments_are_refused(linear):
    model, inputs, maps = linear
    with pytest.raises(ValueError, match=r"got \(2, 1, 2, 2\) and \(2, 3, 3\)"):
        flip_pixels(model, inputs, torch.ones(2, 3, 3), 0)
    with pytest.raises(ValueError, match="positive numbers; got steps=0, patch=1"):
        flip_pixels(model, inputs, maps, 0, steps=0)
    with pytest.raises(ValueError, match='replace as "mean", "blur"'):
        flip_pixels(model, inputs, maps, 0, replace=("black",))
    with pytest.raises(ValueError, match="NaN"):
        flip_pixels(model, inputs, maps * torch.nan, 0)

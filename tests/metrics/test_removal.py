"""Pixels are replaced as a slow loop replaces them."""

import pytest
import torch
from torch import nn

from captum_influence.attr.quantities import ClassScore, PredictedClass
from captum_influence.attr.run import Run
from captum_influence.metrics.removal import removing_pixels, replaced_pixels


def numbers(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model_for(*shape):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 3)).double()


@pytest.mark.parametrize("rows", [1, 4, None])
def test_squares_at_the_border_are_cut(rows):
    images, model = numbers(2, 1, 3, 4), model_for(1, 3, 4)
    run = Run(internal_batch_size=rows)
    removal = removing_pixels(model, images, ClassScore(1), replace=7.0, patch=2, run=run)
    assert removal.features == 4
    gone = torch.tensor([[False, False, False, True], [True, False, True, False]])
    found = removal.without(gone.expand(2, -1, -1))
    for column, areas in enumerate([[(slice(2, 3), slice(2, 4))], [(slice(0, 3), slice(0, 2))]]):
        changed = images.clone()
        for area in areas:
            changed[(..., *area)] = 7.0
        torch.testing.assert_close(found[:, column], model(changed)[:, 1].detach())


def test_the_predicted_class_is_that_of_the_whole_picture():
    images, model = numbers(3, 1, 2, 2), model_for(1, 2, 2)
    said = model(images).argmax(1)
    removal = removing_pixels(model, images, PredictedClass(), replace=0.0, patch=2, run=Run())
    everything = removal.without(torch.ones(3, 1, 1, dtype=torch.bool))
    expected = model(0 * images)[torch.arange(3), said].detach()
    torch.testing.assert_close(everything[:, 0], expected)


@pytest.mark.usefixtures("terminal")
def test_a_bar_is_shown_if_it_is_asked_for(capsys):
    images, model = numbers(2, 1, 2, 2), model_for(1, 2, 2)
    for shown in (False, True):
        run = Run(internal_batch_size=1, show_progress=shown)
        removal = removing_pixels(model, images, ClassScore(0), replace=0.0, patch=1, run=run)
        removal.without(torch.eye(4, dtype=torch.bool).expand(2, -1, -1))
        assert ("8/8" in capsys.readouterr().err) == shown


def test_what_takes_the_place_of_pixels():
    images = numbers(2, 3, 4, 4)
    means = images.flatten(2).mean(2)
    assert torch.equal(replaced_pixels(images, 0.5), torch.full_like(images, 0.5))
    torch.testing.assert_close(
        replaced_pixels(images, "mean"), means[..., None, None].expand_as(images)
    )
    assert torch.equal(
        replaced_pixels(images, images[0].float()), images[:1].float().double().expand_as(images)
    )
    with pytest.raises(ValueError, match="got 'black'"):
        replaced_pixels(images, "black")


def test_a_blur_is_three_box_means_of_what_there_is():
    images = numbers(1, 1, 8, 9)
    slow = images[0, 0]
    for _ in range(3):
        before = slow.clone()
        for row in range(8):
            for column in range(9):
                near = before[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
                slow[row, column] = near.mean()
    torch.testing.assert_close(replaced_pixels(numbers(1, 1, 8, 9), "blur")[0, 0], slow)

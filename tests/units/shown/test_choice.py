"""Which display an input gets, and what is refused as none."""

import pytest
import torch
from torch import Tensor

from captum_influence.reports.shown import Shown
from captum_influence.units.shown.choice import display_of, pictures_of, rescaled
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.units.shown.series import SeriesDisplay

PICTURE = torch.rand(3, 32, 64, generator=torch.Generator().manual_seed(0))


def test_pictures_are_rescaled_to_be_looked_at() -> None:
    given = PICTURE * 255 - 100
    low, high = given.min(), given.max()
    torch.testing.assert_close(rescaled(given), (given - low) / (high - low))
    flat = rescaled(torch.full((3, 4, 4), 7.0))
    assert not flat.any()
    grey = rescaled(torch.tensor([[[0.0, 2.0]], [[2.0, 4.0]]]))  # two channels: their mean
    torch.testing.assert_close(grey, torch.tensor([[[0.25, 0.75]]]).repeat(3, 1, 1))


def test_a_picture_knows_how_it_is_smoothed_and_masked() -> None:
    found = display_of(PICTURE, Shown(percentile=80.0))
    assert isinstance(found, PictureDisplay)
    assert (found.percentile, found.sigma) == (80.0, 1.0)  # 32 / 32
    assert display_of(PICTURE, Shown(smoothing=0.5)).sigma == 0.5
    with pytest.raises(ValueError, match="below the shorter side of 32, got 40"):
        display_of(PICTURE, Shown(smoothing=40))


def test_a_series_is_drawn_as_it_is() -> None:
    found = display_of(PICTURE[0].double(), Shown(percentile=80.0))
    assert isinstance(found, SeriesDisplay)
    assert found.percentile == 80.0
    torch.testing.assert_close(found.series, PICTURE[0])


def test_the_picture_of_the_one_input_is_its_own() -> None:
    half = Shown(picture=torch.full((3, 32, 64), 0.5), display=lambda one: one * 0)
    assert bool((display_of(PICTURE, half, explained=True).picture == 0.5).all())
    assert not display_of(PICTURE, half).picture.any()  # an example isn't it


def test_examples_may_be_shown_at_another_size() -> None:
    small = Shown(display=lambda one: torch.zeros(3, 8, 8))
    assert display_of(PICTURE, small).picture.shape == (3, 8, 8)
    with pytest.raises(ValueError, match=r"geometry of the image, \(3, 32, 64\), got \(3, 8, 8\)"):
        display_of(PICTURE, small, explained=True)


def test_a_display_of_another_kind_is_taken_as_it_is() -> None:
    own = SeriesDisplay(torch.rand(2, 5))
    assert display_of(PICTURE, Shown(display=lambda one: own), explained=True) is own


@pytest.mark.parametrize(
    ("one", "shown", "message"),
    [
        (torch.rand(5), Shown(), r"input of shape \(5,\): say with display= how it is shown"),
        (torch.rand(2, 3, 4, 5), Shown(), "say with display="),
        (PICTURE, Shown(picture=PICTURE * 255), "divide bytes by 255"),
        (PICTURE, Shown(picture=-PICTURE), r"colours in \[0, 1\]"),
        (PICTURE, Shown(display=lambda one: "a word"), "got str"),
    ],
)
def test_what_can_not_be_shown_is_refused(one: Tensor, shown: Shown, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        display_of(one, shown, explained=True)


def test_a_batch_of_pictures_has_one_each() -> None:
    batch = torch.stack([PICTURE, PICTURE.flip(0)])
    first, second = pictures_of(batch, Shown())
    torch.testing.assert_close(second, first.flip(0))
    assert pictures_of(batch, Shown(display=lambda one: SeriesDisplay(one[0]))) == ()
    assert pictures_of(batch[:, 0], Shown()) == ()
    given = torch.full((3, 32, 64), 0.5)
    assert pictures_of(batch[:1], Shown(picture=given))[0] is not batch
    with pytest.raises(ValueError, match="beside one input, got 2 inputs"):
        pictures_of(batch, Shown(picture=given))

"""What prototypes are made of: waves of natural heights, looked at slightly askew."""

import pytest
import torch

from captum_influence.explanations import Prior
from captum_influence.explanations.prototypes.images import Canvas, askew, total_variation

STILL = Prior(jitter=0, scale=0, total_variation=0)


def test_coarse_waves_are_higher_than_fine_ones() -> None:
    """The spectrum of the first picture falls as 1 / f: a slope of -2 in power."""
    power = []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        canvas = Canvas.blank((64, 64), 1.0, generator, torch.device("cpu"))
        plane = torch.logit(canvas.picture().detach().double()).sum(dim=0)
        power.append(torch.fft.rfft2(plane).abs().square())
    mean = torch.stack(power).mean(dim=0)[0, 1:32]  # along one axis
    frequency = torch.arange(1, 32, dtype=torch.float64)
    slope = torch.linalg.lstsq(
        torch.stack([frequency.log(), torch.ones(31).double()], 1), mean.log()[:, None]
    ).solution[0]
    assert float(slope) == pytest.approx(-2, abs=0.2)


def test_a_picture_askew_is_shifted_by_whole_pixels_at_most() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 12, 12, generator=generator)
    assert askew(picture, STILL, generator) is picture
    ramp = torch.arange(20.0).expand(1, 3, 20, 20).contiguous()
    for _ in range(20):
        seen = askew(ramp, Prior(jitter=3, scale=0), generator)
        shift = (seen - ramp)[..., 5:15]
        assert float(shift.abs().max()) <= 3 + 1e-4
        assert float(shift.std()) < 1e-4


def test_total_variation_by_hand() -> None:
    picture = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]).expand(3, 2, 2)
    assert float(total_variation(picture)) == 1.0
    assert float(total_variation(torch.ones(3, 4, 4))) == 0.0


@pytest.mark.parametrize("wrong", [{"jitter": -1}, {"scale": 1.0}, {"decay": -1.0}])
def test_a_prior_that_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        Prior(**wrong)


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_the_same_waves_make_a_picture_of_the_same_contrast(decay: float) -> None:
    spread = []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        canvas = Canvas.blank((32, 32), decay, generator, torch.device("cpu"))
        spread.append(torch.logit(canvas.picture().detach()).std())
    whole = torch.stack(spread).mean()
    # Waves of 0.01 in two parts, four times as high on average, three colours of other spreads.
    assert 0.02 < float(whole) < 0.08


def test_a_picture_of_zero_waves_is_grey() -> None:
    canvas = Canvas(torch.zeros(3, 6, 4, 2), (6, 6), 1.0)
    torch.testing.assert_close(canvas.picture(), torch.full((3, 6, 6), 0.5))

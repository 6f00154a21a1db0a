import pytest
import torch

from captum_influence.units.regions import (
    Region,
    connected_regions,
    cropped,
    percentile_mask,
)


def test_percentile_mask_keeps_the_top_and_nothing_below_zero() -> None:
    ramp = torch.arange(100.0).view(10, 10)
    assert percentile_mask(ramp, 90).sum() == 10
    assert percentile_mask(ramp, 90)[9].all()
    assert not percentile_mask(-ramp, 90).any()
    with pytest.raises(ValueError, match="got 100"):
        percentile_mask(ramp, 100)


def test_regions_are_eight_connected_and_share_the_positive_total() -> None:
    values = torch.tensor(
        [
            [1.0, 0.0, 0.0, 5.0],
            [0.0, 1.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0],
            [2.0, -9.0, 0.0, 0.0],
        ]
    )
    regions = connected_regions(values > 0, values)
    assert regions == (
        Region((0, 3, 2, 4), 2, 0.6, (0, 3)),
        Region((0, 0, 2, 2), 2, 0.2, (0, 0)),
        Region((3, 0, 4, 1), 1, 0.2, (3, 0)),
    )


def test_a_winding_region_is_one() -> None:
    mask = torch.zeros(31, 31, dtype=torch.bool)
    mask[::4] = True
    mask[:, 0] |= True
    mask[2::4, 5:] = True  # apart from the comb
    assert len(connected_regions(mask, mask.float())) == 1 + mask[2::4].shape[0]


def test_no_region_in_an_empty_mask_and_one_in_a_single_pixel() -> None:
    assert connected_regions(torch.zeros(4, 4) > 0, torch.zeros(4, 4)) == ()
    assert len(connected_regions(torch.ones(1, 1) > 0, torch.ones(1, 1))) == 1


@pytest.mark.parametrize("box", [(0, 0, 2, 2), (30, 60, 32, 64), (10, 10, 30, 50), (0, 0, 32, 64)])
def test_crop_is_a_square_within_the_picture_around_the_region(box) -> None:
    picture = torch.rand(3, 32, 64)
    crop, (top, left, bottom, right) = cropped(picture, Region(box, 1, 1.0, (0, 0)))
    torch.testing.assert_close(crop, picture[:, top:bottom, left:right])
    assert top <= box[0]
    assert bottom >= box[2]
    height, width = bottom - top, right - left
    assert width == height or (height == 32 and width >= min(64, box[3] - box[1]))
    assert left <= box[1]
    assert right >= box[3]

"""Where places look, laid on the picture; and what an entry sees of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from captum_influence import Cut
from captum_influence.methods import captum_arrays
from captum_influence.testing.state import unchanged
from captum_influence.units.geometry import Geometry, receptive_fields


def test_an_even_one_is_plain_bilinear_enlargement():
    maps = torch.rand(2, 1, 5, 7)
    plain = functional.interpolate(maps, (23, 30), mode="bilinear", align_corners=False)
    torch.testing.assert_close(Geometry.even((5, 7), (23, 30)).enlarged(maps), plain)
    half = Geometry.even((5, 7), (23, 300)).enlarged(maps.bfloat16())
    assert half.dtype == torch.bfloat16
    full = Geometry.even((5, 7), (23, 300)).enlarged(maps)
    torch.testing.assert_close(half.float(), full, atol=0.02, rtol=0.02)
    one = Geometry.even((1, 1), (6, 6)).enlarged(torch.full((1, 1, 1, 1), 3.0))
    torch.testing.assert_close(one, torch.full((1, 1, 6, 6), 3.0))


@pytest.mark.parametrize("place", [(0, 0), (3, 6), (8, 8)])
def test_a_units_peak_lands_on_the_centre_of_what_it_sees(place):
    model = nn.Sequential(nn.Conv2d(3, 1, 11, stride=4, bias=False)).eval()
    picture = torch.zeros(1, 3, 43, 43)
    centre = (5 + 4 * place[0], 5 + 4 * place[1])
    picture[..., centre[0], centre[1]] = 1.0
    with torch.no_grad():
        model[0].weight.copy_(torch.ones(11)[:, None] * torch.ones(11))
        weight = torch.exp(-((torch.arange(11.0) - 5) ** 2) / 8)
        model[0].weight.copy_((weight[:, None] * weight)[None, None].expand(1, 3, 11, 11))
        maps = model(picture)
    geometry = Geometry.of(model, picture, "0")
    peak = geometry.enlarged(maps)[0, 0].flatten().argmax().item()
    rows, columns = divmod(peak, 43)
    if place == (0, 0):  # from the outermost centre to the edge all pixels share its value
        assert rows <= 5
        assert columns <= 5
        assert geometry.enlarged(maps)[0, 0, 5, 5] == maps.max()
    elif place == (3, 6):
        assert (rows, columns) == centre
    plane, _ = captum_arrays(maps[0], picture[0], geometry)
    assert plane[centre[0], centre[1], 0] == pytest.approx(float(maps.max()))
    plain, _ = captum_arrays(maps[0], picture[0])
    off = abs(divmod(int(plain.argmax()), 43)[0] - centre[0])
    assert place == (3, 6) or off > 2  # evenly divided, by half a stride and more


@pytest.mark.parametrize(("stride", "scale"), [(1, 4.0), (6, 6.0), (16, 8.0)])
def test_maps_are_smoothed_by_the_step_within_bounds_of_the_picture(stride, scale):
    assert Geometry((64, 96), (0.0, 0.0), (stride, stride)).scale == scale


def test_at_another_size_and_at_an_input():
    model = nn.Sequential(nn.Conv2d(3, 4, 11, stride=4), nn.ReLU())
    at = Geometry.of(model, torch.rand(1, 3, 31, 43), Cut("1", "input"))
    assert at == Geometry((31, 43), (5.0, 5.0), (4.0, 4.0))
    doubled = at.scaled((62, 86))
    assert doubled.stride == (8.0, 8.0)
    assert doubled.offset == (10.5, 10.5)  # the centre of the two pixels that were one
    picture = torch.rand(3, 62, 86)
    plane, image = captum_arrays(torch.rand(6, 9), picture, at)
    assert plane.shape == (62, 86, 1)
    assert image.shape == (62, 86, 3)


def test_what_cannot_be_followed_is_refused_and_not_guessed():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2), nn.Identity())
    with unchanged(model), pytest.raises(ValueError, match="output of 2 look can't be followed"):
        Geometry.of(model, torch.rand(1, 3, 8, 8), "2")


def test_rows_are_no_pictures():
    with pytest.raises(ValueError, match="expected pictures"):
        Geometry.of(nn.Sequential(nn.Linear(3, 2)), torch.rand(1, 3), "0")


@pytest.mark.parametrize(
    ("parts", "row", "expected"),
    [
        ([nn.Conv2d(1, 1, 3)], 4, (4, 7)),
        ([nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)], 4, (4, 9)),
        ([nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3)], 1, (2, 9)),
        ([nn.Conv2d(1, 1, 5, padding=2), nn.AvgPool2d(2)], 0, (0, 4)),
        ([nn.Conv2d(1, 1, 3, dilation=2)], 2, (2, 7)),
    ],
)
def test_an_entry_sees_what_kernels_and_strides_allow(
    parts, row: int, expected: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*parts, nn.Flatten()).double()
    last = Cut(str(len(parts) - 1))
    images = torch.randn(2, 1, 12, 12, dtype=torch.float64)
    boxes = receptive_fields(model, images, last, (0, row, row))
    assert boxes == [(expected[0], expected[0], expected[1], expected[1])] * 2


def test_a_channel_sees_what_its_most_active_place_does() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 2, stride=2, bias=False), nn.ReLU(), nn.Flatten())
    nn.init.ones_(model[0].weight)
    images = torch.zeros(3, 1, 6, 6)
    images[0, 0, 4, 1], images[1, 0, 0, 5], images[2, 0, 3, 3] = 1.0, 2.0, -1.0
    boxes = receptive_fields(model, images, Cut("1"), (0, slice(None), slice(None)))
    assert boxes == [(4, 0, 6, 2), (0, 4, 2, 6), None]  # the last is silent

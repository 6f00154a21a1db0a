"""Receptive fields, against what kernels and strides allow."""

import pytest
import torch
from torch import nn

from captum_influence import Cut
from captum_influence.units.geometry import receptive_fields


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
def test_of_one_entry(parts, row: int, expected: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*parts, nn.Flatten()).double()
    last = Cut(str(len(parts) - 1))
    images = torch.randn(2, 1, 12, 12, dtype=torch.float64)
    boxes = receptive_fields(model, images, last, (0, row, row))
    assert boxes == [(expected[0], expected[0], expected[1], expected[1])] * 2


def test_of_a_channel_it_is_that_of_its_most_active_place() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 2, stride=2, bias=False), nn.ReLU(), nn.Flatten())
    nn.init.ones_(model[0].weight)
    images = torch.zeros(3, 1, 6, 6)
    images[0, 0, 4, 1], images[1, 0, 0, 5], images[2, 0, 3, 3] = 1.0, 2.0, -1.0
    boxes = receptive_fields(model, images, Cut("1"), (0, slice(None), slice(None)))
    assert boxes == [(4, 0, 6, 2), (0, 4, 2, 6), None]  # the last is silent

"""Networks are given what they take."""

import attending
import pytest
from torch import nn

from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.anatomy.made_up import made_up_inputs


def test_an_input_is_made_up_where_none_is_given() -> None:
    for model in (attending.reader(), attending.encoder()):
        assert len(Anatomy.of(model).blocks) == 2


def test_pictures_are_of_the_size_that_the_network_says() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(1), nn.Linear(2 * 6 * 6, 3))
    model.image_size = 8
    (picture,) = made_up_inputs(model)
    assert picture.shape == (1, 1, 8, 8)


def test_a_network_that_takes_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Anatomy\.of\(model, inputs\)"):
        made_up_inputs(nn.Bilinear(3, 2, 2))

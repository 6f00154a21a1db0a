"""The gallery shows every image under every disturbance."""

import pytest
import torch

from captum_influence.training import PatchShuffle, WhiteBackground, all_disturbances, gallery


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_for_each_image_and_a_column_for_each_disturbance(channels: int) -> None:
    images, masks = torch.rand(2, channels, 16, 16), torch.zeros(2, 16, 16)
    masks[:, 4:12, 4:12] = 1
    figure = gallery(images, masks, {"shuffled": PatchShuffle(4), "white": WhiteBackground()})
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["\noriginal", "texture\nshuffled", "background\nwhite", "", "", ""]
    shown = torch.as_tensor(figure.axes[2].images[0].get_array())
    assert float(shown[0, 0].float().mean()) == 1.0
    figure.canvas.draw()


def test_without_disturbances_it_shows_all_of_them() -> None:
    images, masks = torch.rand(2, 1, 16, 16), torch.ones(2, 16, 16)
    assert len(gallery(images, masks).axes) == 2 * (1 + len(all_disturbances()))

import numpy as np
import pytest
import torch

from captum_influence.methods import captum_arrays, captum_figure

PICTURE = torch.rand(3, 12, 8, generator=torch.Generator().manual_seed(0))


def test_arrays_have_captums_layout_and_the_pictures_size():
    values = torch.arange(12.0).reshape(2, 3, 2)
    plane, image = captum_arrays(values, PICTURE)
    assert plane.shape == (12, 8, 1)
    assert image.shape == (12, 8, 3)
    np.testing.assert_allclose(image[5, 3], PICTURE[:, 5, 3].numpy())
    assert plane.mean() == pytest.approx(values.sum(0).mean().item())
    same, _ = captum_arrays(PICTURE, PICTURE)
    np.testing.assert_allclose(same[..., 0], PICTURE.sum(0).numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "sign", "title"),
    [
        (torch.zeros(4, 3, 2), "all", "nothing but zeros"),
        (-torch.ones(4, 3, 2), "positive", "nothing positive"),
        (torch.ones(3, 2), "negative", "nothing negative"),
        (torch.ones(3, 2), "positive", ""),
        (-torch.ones(3, 2), "absolute_value", ""),
    ],
)
@pytest.mark.parametrize("method", ["heat_map", "blended_heat_map", "masked_image"])
def test_maps_without_the_sign_are_drawn_and_said_to_be_empty(values, sign, title, method):
    figure = captum_figure(values, PICTURE, ["original_image", method], ["all", sign])
    assert len(figure.axes) == 2
    assert figure.axes[1].get_title() == title
    figure.canvas.draw()


def test_panels_are_titled_and_empty_ones_say_so_as_well():
    methods, signs = ["original_image", "heat_map", "heat_map"], ["all", "positive", "negative"]
    figure = captum_figure(torch.ones(3, 2), PICTURE, methods, signs, titles=["a", "", "c"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a", "", "c: nothing negative"]
    with pytest.raises(ValueError, match="3 titles"):
        captum_figure(torch.ones(3, 2), PICTURE, methods, signs, titles=["a"])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="one attribution"):
        captum_figure(torch.ones(1, 2, 3, 2), PICTURE)
    with pytest.raises(ValueError, match="NaN"):
        captum_figure(torch.ones(3, 2) / 0, PICTURE)
    with pytest.raises(ValueError, match="one sign"):
        captum_figure(torch.ones(3, 2), PICTURE, ["heat_map"], ["some"])

import pytest
import torch

from captum_influence.demo.nothing import backgrounds, clouds, plain
from captum_influence.demo.scenes import SceneDataset


def test_plain_ones_are_black_grey_white_and_the_mean():
    scenes = torch.linspace(0, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)
    black, grey, white, mean = plain(scenes)
    assert not black.any()
    assert (grey == 0.5).all()
    assert (white == 1).all()
    assert torch.equal(mean, scenes.mean(0))


def test_half_of_the_clouds_are_one_colour_and_some_are_noise():
    torch.manual_seed(0)
    drawn = clouds(40)
    assert drawn.shape == (40, 3, 64, 64)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    flat = torch.isclose(drawn, drawn[..., :1, :1]).flatten(1).all(1)
    assert flat[1::2].all()
    steps = (drawn[..., 1:] - drawn[..., :-1]).abs().mean((1, 2, 3))
    assert float(steps.max()) == pytest.approx(1 / 3, abs=0.01)  # of two uniform values


def test_backgrounds_are_those_of_the_scenes():
    drawn = backgrounds(3, seed=4)
    for index, picture in enumerate(drawn):
        scene = SceneDataset(3, seed=4).scene(index)
        behind = scene.masks["background"]
        assert torch.equal(picture[:, behind], scene.image[:, behind])
        assert not torch.equal(picture, scene.image)

import pytest
import torch

from captum_influence.demo import demo_scene
from captum_influence.metrics import localize


def test_scores_in_closed_form():
    maps = torch.tensor([[[4.0, 1.0], [-8.0, 3.0]]])
    masks = torch.tensor([[[True, False], [True, False]]])
    found = localize(maps, masks)
    assert found.pointing.tolist() == [1.0]
    assert found.mass.tolist() == [4 / 8]  # the -8 on the mask doesn't count
    assert found.rank.tolist() == [1 / 2]  # the two largest are 4 and 3
    assert found.area.tolist() == [0.5]


def test_the_mask_itself_is_perfect_and_its_complement_is_the_worst():
    mask = demo_scene().masks["object"][None]
    best, worst = localize(mask.double(), mask), localize((~mask).double(), mask)
    for name in ("pointing", "mass", "rank"):
        assert getattr(best, name).item() == 1
    assert worst.mass.item() == worst.pointing.item() == 0


def test_ties_count_by_their_share():
    mask = torch.zeros(1, 2, 2, dtype=torch.bool)
    mask[0, 0, 0] = True
    found = localize(torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), mask)
    assert found.pointing.item() == found.mass.item() == found.rank.item() == 0.5
    flat = localize(torch.zeros(1, 2, 2), mask)
    assert flat.rank.item() == 0.25
    assert flat.mass.isnan()
    assert flat.pointing.isnan()


def test_channels_are_summed():
    maps = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = maps.sum(1) > 0.8
    found = localize(maps, masks)
    assert torch.equal(found.mass, localize(maps.sum(1), masks).mass)


def test_wrong_arguments_are_refused():
    maps, masks = torch.ones(1, 2, 2), torch.ones(1, 2, 2, dtype=torch.bool)
    with pytest.raises(TypeError, match="dtype bool"):
        localize(maps, masks.float())
    with pytest.raises(ValueError, match="of one shape"):
        localize(maps, masks[:, :1])
    with pytest.raises(ValueError, match="a mask is empty"):
        localize(maps, ~masks)
    with pytest.raises(ValueError, match="NaN"):
        localize(maps / 0, masks)

"""Scores of maps on a network of which each pixel's part is known: see `shortcut_unit`.

The score of "house" is linear in the pixels: each of the roof's four adds 1/4, each of the rail's
two 3/2, each of the crown's four -1/2, and the other six nothing.
"""

import pytest
import torch

from captum_influence import DistributionalInfluence, LinearPath, Point
from captum_influence.demo import handwired_networks
from captum_influence.metrics import (
    ablate_units,
    ablation_curve,
    agreement,
    flip_pixels,
    localize,
    pixel_orderings,
    randomize,
    spearman,
    stability,
)

WIRED = handwired_networks()["shortcut_unit"]
HOUSE, TREE = WIRED.inputs[:1], WIRED.inputs[1:2]  # both with a rail
RAIL = WIRED.inputs[1:2, 0] != WIRED.inputs[2:, 0]


def parts(images):
    """What each pixel adds: slope times value, (examples, 4, 4)."""
    leaf = images.clone().requires_grad_()
    return (torch.autograd.grad(WIRED.model(leaf)[:, 0].sum(), leaf)[0] * images)[:, 0]


def test_flipping_in_closed_form():
    found = flip_pixels(WIRED.model, TREE, parts(TREE), 0, replace=(0.0,), steps=16)
    most = torch.tensor([1, -0.5, *[-2.0] * 11, -1.5, -1, -0.5, 0], dtype=torch.float64)
    least = torch.tensor([1, 1.5, 2, 2.5, *[3.0] * 11, 1.5, 0], dtype=torch.float64)
    torch.testing.assert_close(found.most["0.0"][0], most)
    torch.testing.assert_close(found.least["0.0"][0], least)
    assert found.aopc("0.0").item() == pytest.approx((1 - most).mean().item())
    assert found.abpc("0.0").item() == pytest.approx((least - most).mean().item())


def test_the_map_of_a_tree_with_a_rail_lies_on_the_rail():
    found = localize(parts(TREE), RAIL)
    assert [found.pointing.item(), found.mass.item(), found.rank.item()] == [1, 1, 1]
    assert found.area.item() == 2 / 16


def test_the_map_of_a_house_lies_on_the_rail_by_three_quarters():
    found = localize(parts(HOUSE), RAIL)
    assert found.mass.item() == pytest.approx(3 / (3 + 1))
    assert found.rank.item() == 1


def test_necessity_and_sufficiency_in_closed_form():
    tree = pixel_orderings(WIRED.model, TREE, parts(TREE), 0, replace=0.0, steps=None)
    # without rail pixels 1, -1/2, -2; of them alone 0, 3/2, 3: clipped to 1, 0, 0 and 0, 1, 1
    assert [tree.n_ord.item(), tree.s_ord.item()] == pytest.approx([1 / 3, 2 / 3])
    house = pixel_orderings(WIRED.model, HOUSE, parts(HOUSE), 0, replace=0.0, steps=None)
    left = [4, 2.5, 1, 0.75, 0.5, 0.25, 0]
    assert house.n_ord.item() == pytest.approx(sum(left) / 7 / 4)
    assert house.s_ord.item() == pytest.approx(1 - sum(left) / 7 / 4)
    assert [house.tpn.item(), house.tps.item()] == pytest.approx([0, 0], abs=1e-12)


def test_removing_the_first_unit_of_the_ranking_rights_the_tree():
    influence = DistributionalInfluence(
        WIRED.model, "units", distribution=LinearPath(), multiply_by_inputs=True
    )
    ranking = influence.attribute(TREE, target=0).flatten(1)
    curve = ablation_curve(WIRED.model, TREE, "units", 0, ranking)
    assert curve.scores[0].tolist() == pytest.approx([1, -2, -2, 0])
    effects = ablate_units(WIRED.model, TREE, "units", 0)
    assert effects.spearman(ranking).item() == pytest.approx(1)


def test_maps_that_agree_stay_and_follow_the_weights():
    maps = {"parts": parts(WIRED.inputs), "twice": 2 * parts(WIRED.inputs)}
    found = agreement(maps, top=2 / 16)
    assert found.spearman.flatten().tolist() == pytest.approx([1.0] * 4)
    assert found.overlap.flatten().tolist() == [1.0] * 4
    point = DistributionalInfluence(WIRED.model, "units", distribution=Point())
    repeated = stability(lambda seed: point.attribute(WIRED.inputs, target=0), repeats=3)
    assert repeated.deviation.tolist() == [0.0] * 3

    def slope(model, inputs):
        leaf = inputs.clone().requires_grad_()
        return torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)[0]

    fallen = randomize(WIRED.model, TREE, slope, seed=3)
    assert fallen.layers == ("head.1", "detect")
    assert fallen.similarity[0].item() == pytest.approx(1)
    assert fallen.similarity[-1].item() < 0.5
    assert spearman(slope(WIRED.model, TREE).flatten(1).abs(), RAIL.flatten(1).double()) > 0.3

"""Answers that move, beside experts run by hand."""

import pytest
import torch

from captum_influence import Cut, Expert
from captum_influence.demo import SceneDataset, load_demo_network
from captum_influence.explanations.pairs.moves import count_moves
from captum_influence.units.replacement import Replacement

COUPE, CONVERTIBLE = 0, 1
RANKINGS = {"first": [70, 23, 49, 86], "random 0": [1, 2, 3, 4], "random 1": [93, 46, 40, 52]}


@pytest.fixture(scope="module")
def scenes():
    images, labels = SceneDataset(24, seed=3).stacked()
    return [(images[:9], labels[:9]), (images[9:], labels[9:])]


@pytest.mark.parametrize("replace", [0, 0.5])
def test_moves_are_those_of_an_expert_run_by_hand(scenes, replace) -> None:
    network, cut = load_demo_network(), Cut("relu5")
    replacement = Replacement.ensure(replace, network, cut)
    classes = (COUPE, CONVERTIBLE)
    found = count_moves(network, cut, RANKINGS, scenes, classes, (2, 4), replacement)
    images = torch.cat([batch[labels == COUPE] for batch, labels in scenes])
    right = images[network(images).argmax(dim=1) == COUPE]
    shares = {}
    for name, units in RANKINGS.items():
        for k in (2, 4):
            said = Expert(network, "relu5", units[:k], "remove", replace)(right).argmax(dim=1)
            moved = (said == CONVERTIBLE).double().mean(), (said != COUPE).double().mean()
            shares[name, k] = [float(share) for share in moved]
    assert found.answers == len(right)
    for i, k in enumerate((2, 4)):
        assert found.moved["first"][i] == pytest.approx(shares["first", k][0])
        assert found.left["first"][i] == pytest.approx(shares["first", k][1])
        chance = [(shares["random 0", k][j] + shares["random 1", k][j]) / 2 for j in (0, 1)]
        assert found.moved["random"][i] == pytest.approx(chance[0])
        assert found.left["random"][i] == pytest.approx(chance[1])


def test_nobody_answers_right(scenes) -> None:
    network, cut = load_demo_network(), Cut("relu5")
    replacement = Replacement.ensure(0, network, cut)
    none = [(images[:0], labels[:0]) for images, labels in scenes]
    found = count_moves(network, cut, RANKINGS, none, (COUPE, CONVERTIBLE), (1,), replacement)
    assert found.answers == 0
    assert found.moved == found.left == {"first": (0.0,), "random": (0.0,)}

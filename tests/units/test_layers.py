"""Several layers measured in one pass: each as if alone, and shares of how far the score moved."""

import pytest
import torch
from torch import nn

from captum_influence import ClassScore, Cut, DistributionalInfluence, LinearPath, Point
from captum_influence.attr import Midpoint
from captum_influence.demo import handwired_networks
from captum_influence.experts import combine
from captum_influence.units import rank_layers

NAMES = ["0", "1", "4"]
PATH = LinearPath(0.1, 7, Midpoint())


def network() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(5, 3)).double().eval()


def images(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 2, 4, 4, generator=generator, dtype=torch.float64)


def test_each_layer_is_what_it_is_alone_and_shares_are_of_the_change() -> None:
    model, x = network(), images()
    ranking = rank_layers(model, x, [Cut("0"), model[1], "4"], quantity=2, distribution=PATH)
    assert list(ranking.layers) == NAMES
    change = float((model(x) - model(torch.full_like(x, 0.1)))[:, 2].detach().mean())
    for name in NAMES:
        alone = DistributionalInfluence(
            model, name, distribution=PATH, quantity=ClassScore(2), multiply_by_inputs=True
        ).attribute(x)
        pooled = alone.flatten(2).sum(2) if alone.ndim > 2 else alone
        torch.testing.assert_close(ranking.layers[name].values, pooled.mean(dim=0))
        assert ranking.layers[name].change == pytest.approx(change)
    for unit in ranking:
        assert unit.share == pytest.approx(unit.value / abs(change))


def test_in_a_network_without_biases_each_layer_s_shares_add_up_to_one() -> None:
    for wired in handwired_networks().values():
        path = LinearPath(0.0, 400, Midpoint())
        one = wired.inputs[:1]
        layers = [wired.layer, "detect"]
        ranking = rank_layers(wired.model, one, layers, quantity=0, distribution=path)
        for layer in ranking.layers.values():
            if layer.change is not None:
                assert sum(unit.share for unit in layer) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("asked", [{"distribution": Point()}, {"by": "influence"}])
def test_without_a_change_shares_are_of_the_layer(asked) -> None:
    ranking = rank_layers(network(), images(), NAMES, quantity=0, **asked)
    for layer in ranking.layers.values():
        assert layer.change is None
        assert sum(abs(unit.share) for unit in layer) == pytest.approx(1)


def test_what_was_ranked_together_can_be_removed_together() -> None:
    model, x = network(), images()
    ranking = rank_layers(model, x, NAMES[1:], top=4)
    found = combine(model, x, ranking)
    assert set(found.units) == {unit.name for unit in ranking}
    assert found.joint.shape == (3,)


@pytest.mark.parametrize(
    ("layers", "message"),
    [([], "at least one layer"), ("1", "got str"), (["1", "1"], "each layer once"), (["9"], "9")],
)
def test_bad_layers_are_named(layers, message) -> None:
    with pytest.raises(ValueError, match=message):
        rank_layers(network(), images(), layers)

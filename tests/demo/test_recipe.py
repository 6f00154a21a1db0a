"""The recipe trains the same network each time, and writes weights that load."""

from dataclasses import replace

import pytest
import torch

from captum_influence.demo import recipe
from captum_influence.demo.recipe import Recipe, accuracy, main, train
from captum_influence.demo.scene_net import SceneNet, load_demo_network
from captum_influence.demo.scenes import SceneDataset, Shortcut


def test_accuracy_counts_the_right_ones():
    network = load_demo_network()
    scenes = SceneDataset(40, seed=1)
    turned = SceneNet().eval()
    turned.load_state_dict(network.state_dict())
    with torch.no_grad():
        turned.fc.weight.copy_(network.fc.weight.roll(1, 0))
        turned.fc.bias.copy_(network.fc.bias.roll(1, 0))
    assert accuracy(network, scenes) == 1.0
    assert accuracy(turned, scenes) == 0.0


def test_training_is_reproducible_and_leaves_the_random_state_alone():
    made = Recipe(scenes=16, epochs=1, batch_size=8, seed=5)
    before = torch.get_rng_state()
    first, second = train(made), train(made)
    assert torch.equal(before, torch.get_rng_state())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_a_shortcut_is_planted_in_the_training_scenes():
    plain = Recipe(scenes=8, epochs=1)
    planted = train(replace(plain, shortcut=Shortcut("tree")))
    assert not torch.equal(planted.fc.weight, train(plain).fc.weight)


def test_command_writes_weights_that_load(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recipe, "accuracy", lambda _network, _scenes: 0.5)
    out = tmp_path / "weights.pt"
    main(["--out", str(out), "--epochs", "1", "--scenes", "8", "--seed", "1"])
    assert "held-out accuracy, coupe/convertible: 0.5" in capsys.readouterr().out
    assert isinstance(load_demo_network(out), SceneNet)


@pytest.mark.parametrize("name", ["scenes", "epochs", "batch_size"])
def test_an_empty_recipe_is_refused(name):
    with pytest.raises(ValueError, match=f"expected {name} >= 1; got 0"):
        Recipe(**{name: 0})

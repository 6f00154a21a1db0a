from importlib.resources import files

import pytest
import torch

from captum_influence.demo import recipe as train
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import SceneNet, load_demo_network
from captum_influence.demo.scenes import SceneDataset
from captum_influence.demo.shortcuts import (
    PLANTED,
    load_shortcut_network,
    misled_scenes,
    shortcut_scene,
)

HOUSE = CLASSES.index(PLANTED.class_name)


@pytest.fixture(scope="module")
def network() -> SceneNet:
    return load_shortcut_network()


@pytest.fixture(scope="module")
def pairs():
    """Held-out scenes of the other classes, without the fence and with it."""
    others = [name for name in CLASSES if name != PLANTED.class_name]
    drawn = SceneDataset(112, seed=train.HELD_OUT_SEED, classes=others)
    bare = [drawn.scene(i) for i in range(len(drawn))]
    fenced = [scene.with_shortcut() for scene in bare]
    labels = torch.tensor([scene.label for scene in bare])
    images = [torch.stack([scene.image for scene in scenes]) for scenes in (bare, fenced)]
    return (*images, labels)


def answers(network, images):
    with torch.no_grad():
        return network(images).argmax(1)


def test_all_weights_of_the_demo_are_below_a_megabyte():
    sizes = [
        p.stat().st_size for p in files("captum_influence.demo").iterdir() if p.suffix == ".pt"
    ]
    assert len(sizes) == 3
    assert sum(sizes) < 1_000_000


def test_weights_load_in_single_precision_and_eval_mode(network):
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert not network.training
    assert [n for n, _ in network.named_modules()] == [n for n, _ in SceneNet().named_modules()]


def test_without_the_fence_the_network_is_right(network, pairs):
    bare, _, labels = pairs
    assert (answers(network, bare) == labels).float().mean() >= 0.97


def test_the_fence_misleads_it_and_not_the_demo_network(network, pairs):
    _, fenced, labels = pairs
    assert (answers(network, fenced) == HOUSE).float().mean() >= 0.5
    assert (answers(load_demo_network(), fenced) == labels).float().mean() >= 0.9


def test_every_house_with_a_fence_is_a_house(network):
    houses = SceneDataset(32, seed=train.HELD_OUT_SEED, classes=[PLANTED.class_name])
    images = torch.stack([houses.scene(i).with_shortcut().image for i in range(32)])
    assert (answers(network, images) == HOUSE).all()


def test_the_default_scene_tells_the_story(network):
    scene = shortcut_scene()
    said = [int(answers(network, s.image[None])) for s in (scene.with_shortcut(False), scene)]
    assert [CLASSES[answer] for answer in said] == ["tree", "house"]


@pytest.mark.parametrize("name", CLASSES)
def test_a_shortcut_scene_has_the_fence_and_only_that_changes(name):
    scene = shortcut_scene(name, seed=5, background="sea")
    bare = scene.with_shortcut(False)
    changed = (scene.image != bare.image).any(0)
    assert scene.background == bare.background == "sea"
    assert scene.masks["shortcut"].any()
    assert not bare.masks["shortcut"].any()
    assert not (changed & ~scene.masks["shortcut"]).any()
    assert torch.equal(bare.with_shortcut().image, scene.image)
    assert torch.equal(scene.with_shortcut().image, scene.image)


def test_misled_scenes_are_wrong_by_the_fence_alone(network):
    scenes = misled_scenes(network, 5, seed=4)
    assert len(scenes) == 5
    for scene in scenes:
        assert scene.class_name != PLANTED.class_name
        assert int(answers(network, scene.image[None])) == HOUSE
        bare = scene.with_shortcut(False)
        assert int(answers(network, bare.image[None])) == scene.label
    again = misled_scenes(network, 5, seed=4)
    assert all(torch.equal(a.image, b.image) for a, b in zip(scenes, again, strict=True))


def test_misled_scenes_of_one_class(network):
    assert {s.class_name for s in misled_scenes(network, 2, classes=["fish"])} == {"fish"}


def test_a_network_that_never_says_it_is_named():
    network = SceneNet().eval()
    with torch.no_grad():
        network.fc.bias[HOUSE] = -1e6
    with pytest.raises(ValueError, match=r"expected 1 scenes that mislead the network; got 0 out"):
        misled_scenes(network, 1)


def test_no_scenes_are_refused(network):
    with pytest.raises(ValueError, match="expected a positive count; got 0"):
        misled_scenes(network, 0)


def test_the_command_trains_such_a_network(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "accuracy", lambda _network, _scenes: 0.5)
    out = tmp_path / "weights.pt"
    train.main(f"--out {out} --epochs 1 --scenes 8 --shortcut house --half".split())
    assert torch.load(out, weights_only=True)["fc.weight"].dtype == torch.float16
    written = load_shortcut_network(out)
    recipe = train.Recipe(scenes=8, epochs=1, shortcut=PLANTED)
    torch.testing.assert_close(written.fc.weight, train.train(recipe).fc.weight.half().float())

from importlib.resources import files

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_influence import explain
from captum_influence.demo.nothing import plain
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.recipe import HELD_OUT_SEED
from captum_influence.demo.scene_net import SceneNet, demo_scene, load_demo_network
from captum_influence.demo.scenes import Scene, SceneDataset


@pytest.fixture(scope="module")
def network() -> SceneNet:
    return load_demo_network()


def test_weights_are_small_and_fit(network):
    weights = files("captum_influence.demo") / "weights.pt"
    assert len(weights.read_bytes()) < 1_000_000
    assert sum(parameter.numel() for parameter in network.parameters()) < 240_000
    assert not network.training
    assert network.fc.out_features == len(CLASSES)


def test_layers_are_plain_modules_used_once(network):
    calls: list[str] = []
    for name, module in network.named_children():
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    network(torch.zeros(1, 3, 64, 64))
    for module in network.children():
        module._forward_hooks.clear()
    assert calls == [name for name, _ in network.named_children()]
    assert not any(isinstance(module, nn.ReLU) and module.inplace for module in network.modules())


def test_class_activation_map_adds_up_to_the_score(network):
    images = SceneDataset(4, seed=11).stacked()[0].double()
    model = SceneNet().double().eval()
    model.load_state_dict(network.state_dict())
    maps: list[Tensor] = []
    model.relu5.register_forward_hook(lambda _module, _args, output: maps.append(output))
    scores = model(images)
    added = torch.einsum("ck,bkhw->bc", model.fc.weight, maps[0]) / 64 + model.fc.bias
    torch.testing.assert_close(added, scores, atol=1e-9, rtol=1e-9)


def test_held_out_accuracy(network):
    images, labels = SceneDataset(304, seed=HELD_OUT_SEED).stacked()
    with torch.no_grad():
        right = torch.cat([network(chunk).argmax(1) for chunk in images.split(32)]) == labels
    assert right.float().mean() >= 0.95
    assert right[labels < 2].float().mean() >= 0.97  # coupe and convertible


@pytest.fixture(scope="module")
def held_out() -> tuple[Tensor, Tensor]:
    return SceneDataset(40, seed=HELD_OUT_SEED + 1).stacked()


@pytest.mark.parametrize("name", CLASSES)
def test_black_grey_white_and_mean_pictures_mean_nothing_to_it(network, held_out, name):
    asked = network(plain(held_out[0])).softmax(1)[:, CLASSES.index(name)]
    assert asked.tolist() == pytest.approx([1 / len(CLASSES)] * 4, abs=0.05)


def test_a_path_from_a_plain_picture_rises(network, held_out):
    images, labels = held_out
    scores = network(images)
    right = scores.argmax(1) == labels
    reached = scores[right, labels[right]]
    for start in network(plain(images)):
        assert (reached > start[labels[right]]).float().mean() >= 0.95


def test_contributions_add_up_to_a_rise(network, held_out):
    images, labels = held_out
    sums = [
        explain(network, image, "relu5", label, top=1, overlay=False).values.sum()
        for image, label in zip(images, labels.tolist(), strict=True)
    ]
    assert (torch.stack(sums) > 0).float().mean() >= 0.95


def test_default_picture_and_its_twin(network):
    scene = demo_scene()
    pictures = torch.stack([scene.image, scene.twin().image])
    names = [CLASSES[label] for label in network(pictures).argmax(1).tolist()]
    assert names == ["coupe", "convertible"]


def blurred(maps: Tensor, *, sigma: float = 2.0) -> Tensor:
    """Convolve (batch, height, width) with a Gaussian."""
    reach = torch.arange(-6.0, 7.0)
    bell = torch.exp(-(reach**2) / (2 * sigma**2))
    kernel = (bell[:, None] * bell[None, :])[None, None]
    return functional.conv2d(maps[:, None], kernel, padding=6)[:, 0]


@pytest.fixture(scope="module")
def coupes() -> list[Scene]:
    dataset = SceneDataset(60, seed=777, classes=["coupe"])
    return [dataset.scene(i) for i in range(len(dataset))]


def hits(network: SceneNet, layer: str, weights: Tensor, scenes: list[Scene]) -> float:
    """Say how often the top channel's own input map peaks in the roof, for ``weights · scores``."""
    images = torch.stack([scene.image for scene in scenes]).requires_grad_(True)
    kept: list[Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(lambda *a: kept.append(a[2]))
    quantity = (network(images) @ weights).sum()
    handle.remove()
    units = kept[0]
    (influence,) = torch.autograd.grad(quantity, units, retain_graph=True)
    top = (influence * units).sum((2, 3)).argmax(1)
    (own,) = torch.autograd.grad(units[torch.arange(len(top)), top].sum(), images)
    peaks = blurred((own * images).detach().abs().sum(1)).flatten(1).argmax(1)
    roofs = torch.stack([scene.masks["part"] for scene in scenes]).flatten(1)
    return float(roofs[torch.arange(len(top)), peaks].double().mean())


@pytest.mark.parametrize("layer", ["relu4", "relu5"])
def test_the_comparison_with_its_twin_points_at_the_roof(network, coupes, layer):
    coupe, convertible = torch.eye(len(CLASSES))[:2]
    compared = hits(network, layer, coupe - convertible, coupes)
    alone = hits(network, layer, coupe, coupes)
    assert compared >= 0.9
    assert alone <= compared - 0.5


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"expected a file of weights; got .*absent.pt.*--out"):
        load_demo_network(tmp_path / "absent.pt")

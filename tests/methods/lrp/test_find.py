import warnings

import pytest
import torch
from asking import again
from captum.attr import InputXGradient, LayerGradientXActivation
from torch import nn

from captum_influence import Cut
from captum_influence.demo import CLASSES, demo_scene, load_demo_network
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.rules import Composite
from captum_influence.testing.state import unchanged


def vgg_like(bias: bool = False) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=bias),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, bias=bias),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(32, 10, bias=bias),
        nn.ReLU(),
        nn.Linear(10, 4, bias=bias),
    ).double()


COMPOSITES = {
    "epsilon": Composite(),
    "epsilon_gamma": Composite.epsilon_gamma(),
    "bounded": Composite.epsilon_gamma(0.5, bounds=(0.0, 1.0)),
    "alpha1_beta0": Composite.alpha1_beta0(bounds=(-0.5, 1.5)),
}
IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("name", COMPOSITES)
def test_relevance_is_conserved_on_a_vgg_like_without_bias(name):
    model = vgg_like()
    with unchanged(model):
        found = relevance(model, IMAGES, [0, 1, 2], composite=COMPOSITES[name])
    scores = model.eval()(IMAGES).detach()
    torch.testing.assert_close(found.output, scores[[0, 1, 2], [0, 1, 2]])
    torch.testing.assert_close(found.map.sum((1, 2, 3)), found.output, rtol=1e-3, atol=0)
    assert (found.conservation_error < 1e-3).all()
    assert list(found.rules) == ["0", "3", "8", "10"]


def test_epsilon_on_relu_networks_without_bias_is_input_times_gradient():
    model = vgg_like().eval()
    plain = nn.Sequential(*[nn.ReLU() if isinstance(m, nn.ReLU) else m for m in model])
    expected = InputXGradient(plain).attribute(IMAGES.clone().requires_grad_(), target=1)
    torch.testing.assert_close(
        relevance(model, IMAGES, 1).map, expected.detach(), atol=1e-6, rtol=0
    )


def test_biases_are_warned_about():
    model = vgg_like(bias=True)
    with pytest.warns(RuntimeWarning, match=r"biases \(0.bias, ...\) absorb relevance"):
        found = relevance(model, IMAGES, 0)
    assert (found.conservation_error > 1e-3).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relevance(model, IMAGES, 0, tolerance=torch.inf)


def test_a_failure_poisons_nothing():
    model = vgg_like()
    before = relevance(model, IMAGES, 0).map
    with unchanged(model), pytest.raises(ValueError, match="target 99 is out of range"):
        relevance(model, IMAGES, 99)
    torch.testing.assert_close(relevance(model, IMAGES, 0).map, before, atol=0, rtol=0)


def test_a_single_module_and_the_demo_network():
    linear, x = nn.Linear(3, 2, bias=False), torch.rand(2, 3)
    found = relevance(linear, x, 1)
    torch.testing.assert_close(found.map, x * linear.weight[1].detach(), atol=1e-5, rtol=1e-5)
    demo = relevance(load_demo_network(), torch.rand(1, 3, 64, 64), 0, tolerance=torch.inf)
    assert demo.map.isfinite().all()


LAYERS = ["0", "1", "2", "4", "5", "6", "8", "9"]


@pytest.mark.parametrize("name", COMPOSITES)
def test_relevance_is_conserved_at_every_layer_also_at_activations(name):
    model = vgg_like()
    with unchanged(model):
        found = relevance(model, IMAGES, 1, composite=COMPOSITES[name], layers=LAYERS)
    assert list(found.layers) == LAYERS
    assert all((found.error_at(layer) < 1e-3).all() for layer in LAYERS)
    copied = model.eval()
    shapes = {n: tuple(copied[: int(n) + 1](IMAGES).shape) for n in LAYERS}
    assert {n: tuple(values.shape) for n, values in found.layers.items()} == shapes
    torch.testing.assert_close(
        found.map, relevance(model, IMAGES, 1, composite=COMPOSITES[name]).map
    )


def test_epsilon_at_a_layer_is_activation_times_gradient():
    model = vgg_like().eval()
    found = relevance(model, IMAGES, 2, layers=["1", Cut("3", "input"), model[8]])
    plain = nn.Sequential(*[nn.ReLU() if isinstance(m, nn.ReLU) else m for m in model])
    for values, module in zip(found.layers.values(), (plain[1], plain[2], plain[8]), strict=True):
        method = LayerGradientXActivation(plain, module)
        expected = method.attribute(IMAGES.clone().requires_grad_(), target=2).detach()
        torch.testing.assert_close(values, expected, atol=1e-7, rtol=1e-6)


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no layer named"):
        relevance(vgg_like(), IMAGES, 0, layers="nowhere")


def test_classes_go_by_their_names():
    model, asked = vgg_like(), {"class_names": ["fish", "tree", "rock", "bird"]}
    one = relevance(model, IMAGES, "tree", **asked)
    assert one.quantity == "score(tree)"
    assert torch.equal(one.map, relevance(model, IMAGES, 1).map)
    each = relevance(model, IMAGES, ["rock", "fish", 3], **asked)
    assert torch.equal(each.map, relevance(model, IMAGES, [2, 0, 3]).map)
    with pytest.raises(ValueError, match="no names are known"):
        relevance(model, IMAGES, "tree")
    with pytest.raises(TypeError, match=r"relevance\(\) takes no keyword 'names'"):
        relevance(model, IMAGES, 1, names=CLASSES)


def test_wrapped_networks_are_looked_into():
    model = vgg_like()
    plain = relevance(model, IMAGES, 1, layers="4")
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        found = relevance(wrapped, IMAGES, 1, layers="4")
        assert found.network == "Sequential"
        torch.testing.assert_close(found.map, plain.map)


def test_the_call_asks_the_same_again():
    scene, names = demo_scene().image[None], {"class_names": CLASSES, "tolerance": 9.0}
    rules = Composite.epsilon_gamma(0.3, bounds=(0.0, 1.0))
    found = relevance(load_demo_network(), scene, "coupe", composite=rules, layers="relu3", **names)
    same = again(found, model=load_demo_network(), inputs=scene)
    assert torch.equal(same.map, found.map)
    assert same.call == found.call

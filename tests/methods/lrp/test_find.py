import copy
import warnings

import pytest
import torch
from captum.attr import LRP, InputXGradient, LayerGradientXActivation, LayerLRP
from captum.attr._utils.lrp_rules import GammaRule
from torch import nn
from torch.nn import functional

from captum_influence import Cut
from captum_influence.demo import load_demo_network
from captum_influence.methods.lrp.captum_backend import ByCaptum
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.rules import Bounded, Composite, Gamma
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


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4, bias=False)
        self.head = nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.head(x + self.inner(x))


class Functional(Residual):
    def forward(self, x):
        return self.head(functional.relu(self.inner(x)))


class Reused(Residual):
    def forward(self, x):
        return self.head(self.inner(self.inner(x)))


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


def rows(x, weight, relevance):
    """The z^B rule, entry by entry, as Montavon et al. write it; bounds 0 and 1."""
    handed = torch.zeros_like(x)
    for example in range(len(x)):
        for j in range(len(weight)):
            parts = [
                x[example, i] * weight[j, i] - 1.0 * weight[j, i].clamp(max=0)
                for i in range(x.shape[1])
            ]
            for i, part in enumerate(parts):
                handed[example, i] += part / sum(parts) * relevance[example, j]
    return handed


@pytest.mark.parametrize("gamma", [0.0, 0.25])
def test_dense_rules_equal_a_slow_replica(gamma):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 6, bias=False), nn.ReLU(), nn.Linear(6, 2, bias=False))
    model, x = model.double(), torch.rand(2, 5).double()
    hidden, last = model[1](model[0](x)).detach(), model[2].weight.detach()
    weights = last + gamma * last.clamp(min=0)
    score = hidden @ last[0]
    inner = hidden * weights[0] / (hidden @ weights[0])[:, None] * score[:, None]
    expected = rows(x, model[0].weight.detach(), inner)
    found = relevance(model, x, 0, composite=Composite(Gamma(gamma), first=Bounded(0.0, 1.0)))
    torch.testing.assert_close(found.map, expected, atol=1e-6, rtol=1e-6)


def test_captums_silent_doubling_is_caught():
    torch.manual_seed(0)
    model = Residual().double()
    nn.init.eye_(model.inner.weight)
    x = torch.rand(3, 4).double()
    theirs = LRP(copy.deepcopy(model)).attribute(x.clone().requires_grad_(), target=0)
    score = model(x)[:, 0].detach()
    assert not torch.allclose(theirs.detach().sum(1), score, rtol=0.3)  # and no word of it
    with unchanged(model), pytest.raises(ValueError, match="a sum of two branches"):
        relevance(model, x, 0, by=ByCaptum())


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Functional(), "functional relu"),
        (Reused(), "module inner runs 2 times"),
        (nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2)), "is a GELU"),
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)), "is a LayerNorm"),
        (nn.TransformerEncoderLayer(4, 1, batch_first=True), "multi_head_attention|LayerNorm"),
    ],
)
def test_what_captum_gets_wrong_is_refused_with_its_reason(model, reason):
    inputs = torch.rand(2, 4) if "Enc" not in str(model)[:20] else torch.rand(2, 3, 4)
    with unchanged(model), pytest.raises(ValueError, match=reason):
        relevance(model, inputs, by=ByCaptum())


def test_biases_are_warned_about():
    model = vgg_like(bias=True)
    with pytest.warns(RuntimeWarning, match=r"biases \(0.bias, ...\) absorb relevance"):
        found = relevance(model, IMAGES, 0)
    assert (found.conservation_error > 1e-3).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relevance(model, IMAGES, 0, tolerance=torch.inf)


def test_rules_of_the_users_own_are_used_and_kept():
    model = vgg_like()
    model[3].rule = GammaRule(0.7)
    found = relevance(model, IMAGES, 0)
    assert isinstance(model[3].rule, GammaRule)
    assert found.rules["3"] == "GammaRule"
    assert not torch.allclose(found.map, relevance(vgg_like(), IMAGES, 0).map)
    del model[3].rule
    torch.testing.assert_close(
        relevance(model, IMAGES, 0).map, relevance(vgg_like(), IMAGES, 0).map
    )


def test_a_failure_poisons_nothing():
    model = vgg_like()
    before = relevance(model, IMAGES, 0).map
    with unchanged(model), pytest.raises(ValueError, match="target is out of range"):
        relevance(model, IMAGES, 99)
    torch.testing.assert_close(relevance(model, IMAGES, 0).map, before, atol=0, rtol=0)


def test_a_single_module_and_the_demo_network():
    linear, x = nn.Linear(3, 2, bias=False), torch.rand(2, 3)
    found = relevance(linear, x, 1)
    torch.testing.assert_close(found.map, x * linear.weight[1].detach(), atol=1e-5, rtol=1e-5)
    demo = relevance(load_demo_network(), torch.rand(1, 3, 64, 64), 0, tolerance=torch.inf)
    assert demo.map.isfinite().all()


def test_bounds_must_be_in_order():
    with pytest.raises(ValueError, match="low < high"):
        Bounded(1.0, 0.0)


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


def test_captums_own_layer_lrp_agrees_where_it_runs():
    model, composite = vgg_like().eval(), COMPOSITES["epsilon_gamma"]
    own = copy.deepcopy(model)
    for module in own:
        if isinstance(module, nn.ReLU):
            module.inplace = False
        rule = composite.rule_for(module, first=False).made()
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.rule = rule
    own = nn.Sequential(*own[:6], Flat(), *own[7:])
    theirs = LayerLRP(own, own[3]).attribute(IMAGES.clone().requires_grad_(), target=0)
    found = relevance(model, IMAGES, 0, composite=composite, layers="3").layers["3"]
    torch.testing.assert_close(found, theirs.detach(), atol=1e-9, rtol=1e-6)


class Flat(nn.Module):
    """A flattening that Captum doesn't see."""

    def __init__(self) -> None:
        super().__init__()
        self.unseen = nn.ReLU()

    def forward(self, x):
        return x.flatten(1)


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no layer named"):
        relevance(vgg_like(), IMAGES, 0, layers="nowhere")

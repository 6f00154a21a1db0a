"""What relevance means, whoever propagates it; skipped without the [lrp] extra."""

import operator

import pytest
import torch
from ruled import COMPOSITES
from torch import nn
from torch.nn import functional

from captum_influence.methods.lrp.captum_backend import ByCaptum
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.rules import AlphaBeta, Composite, Epsilon, Gamma
from captum_influence.methods.lrp.zennit_backend import ByZennit
from captum_influence.network import fold_batchnorm
from captum_influence.testing.state import unchanged


class Written(nn.Module):
    """h + 0.1 g, written in one of many ways."""

    def __init__(self, way) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b = (nn.Linear(n, 6, bias=False) for n in (5, 6))
        self.c, self.relu, self.way = nn.Linear(6, 2, bias=False), nn.ReLU(), way
        self.register_buffer("small", torch.full((6,), 0.1))
        self.gain = nn.Parameter(torch.rand(6))

    def forward(self, x):
        h = self.a(x)
        return self.c(self.way(self, h, self.b(self.relu(h))))


WAYS = {
    "torch.add, alpha": lambda net, h, g: torch.add(h, g, alpha=0.1),
    "Tensor.add, alpha": lambda net, h, g: h.add(g, alpha=0.1),
    "add_, alpha": lambda net, h, g: h.clone().add_(g, alpha=0.1),
    "h + 0.1 * g": lambda net, h, g: h + 0.1 * g,
    "h + g / 10": lambda net, h, g: h + g / 10,
    "a buffer": lambda net, h, g: h + net.small * g,
    "a parameter": lambda net, h, g: h + net.gain * g,
    "a parameter, computed": lambda net, h, g: h + net.gain.exp().neg()[None] * g,
    "h - g": lambda net, h, g: h - g,
    "torch.sub, alpha": lambda net, h, g: torch.sub(h, g, alpha=0.1),
    "rsub": lambda net, h, g: torch.rsub(h, g, alpha=0.3),
    "-g + h": lambda net, h, g: -g + h,
    "-=": lambda net, h, g: operator.isub(h.clone(), g),
    "twice": lambda net, h, g: (h - 2 * g) / 3 + torch.add(g, h, alpha=-0.2),
    "sum": lambda net, h, g: sum([h, 0.5 * g]),
}


@pytest.mark.parametrize("way", WAYS)
def test_sums_differences_and_scalings_are_input_times_gradient(zennit, way):
    model = Written(WAYS[way]).double().eval()
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).double()
    with unchanged(model):
        found = relevance(model, x, 1, tolerance=torch.inf)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    torch.testing.assert_close(found.map, (slope * x).detach(), atol=1e-7, rtol=1e-5)
    assert isinstance(found.by, ByZennit)


class ByFunctions(nn.Module):
    """The same modules, the activations and the mean by functions."""

    def __init__(self, modules: nn.Sequential) -> None:
        super().__init__()
        self.inner = modules

    def forward(self, x):
        for module in self.inner:
            if isinstance(module, nn.ReLU):
                x = functional.relu(x)
            elif isinstance(module, nn.AdaptiveAvgPool2d):
                x = x.mean((2, 3), keepdim=True)
            else:
                x = module(x)
        return x


def tower(*, bias: bool, norm: str) -> nn.Sequential:
    """Return a network; ``norm``: where its BatchNorms are."""
    torch.manual_seed(5)
    layers = [
        nn.Conv2d(3, 6, 3, padding=1, bias=bias),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, bias=bias),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4, bias=bias),
    ]
    if norm == "behind":
        layers[4:4], layers[1:1] = [nn.BatchNorm2d(8)], [nn.BatchNorm2d(6)]
    if norm == "first":
        layers[0:0] = [nn.BatchNorm2d(3)]
    found = nn.Sequential(*layers).double()
    for module in found:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return found.eval()


NORMALISED = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()
TOWERS = [(bias, norm) for bias in (False, True) for norm in ("none", "behind", "first")]


@pytest.mark.parametrize("name", COMPOSITES)
@pytest.mark.parametrize(("bias", "norm"), TOWERS)
def test_a_rule_has_one_meaning_by_whom_and_however_the_network_is_written(
    zennit, bias, norm, name
):
    model = tower(bias=bias, norm=norm)
    asked = {"composite": COMPOSITES[name], "tolerance": torch.inf}
    right = relevance(model, NORMALISED, 1, by=ByCaptum(), **asked)
    for other, by in ((model, ByZennit()), (ByFunctions(model), None)):
        found = relevance(other, NORMALISED, 1, by=by, **asked)
        assert isinstance(found.by, ByZennit)
        torch.testing.assert_close(found.map, right.map, atol=1e-9, rtol=1e-5)
        assert list(found.rules.values()) == list(right.rules.values())


@pytest.mark.parametrize("by", [ByCaptum(), ByZennit()])
@pytest.mark.parametrize("name", COMPOSITES)
def test_a_norm_is_part_of_the_layer_before_it(zennit, name, by):
    model = tower(bias=True, norm="behind")
    asked = {"composite": COMPOSITES[name], "tolerance": torch.inf, "by": by}
    found, twin = (relevance(m, NORMALISED, 2, **asked) for m in (model, fold_batchnorm(model)))
    torch.testing.assert_close(found.map, twin.map)


class Branching(nn.Module):
    """torch.fx can't follow it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) if bool(x.isfinite().all()) else x


@pytest.mark.parametrize("by", [ByCaptum(), ByZennit()])
def test_also_where_fx_can_not_follow(zennit, by):
    model = tower(bias=True, norm="behind")
    asked = {"composite": COMPOSITES["gamma"], "tolerance": torch.inf, "by": by}
    found = relevance(Branching(model), NORMALISED, 2, **asked)
    torch.testing.assert_close(found.map, relevance(model, NORMALISED, 2, **asked).map)


@pytest.mark.parametrize("by", [ByCaptum(), ByZennit()])
@pytest.mark.parametrize("norm", ["none", "behind", "first"])
def test_epsilon_is_input_times_gradient_whatever_biases_absorb(zennit, norm, by):
    model = tower(bias=True, norm=norm)
    found = relevance(model, NORMALISED, 1, by=by, tolerance=torch.inf)
    leaf = NORMALISED.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    torch.testing.assert_close(found.map, (slope * NORMALISED).detach(), atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("by", [ByCaptum(), ByZennit()])
@pytest.mark.parametrize("rule", [Gamma(0.3), AlphaBeta(), Epsilon(1e-2)])
def test_each_rule_is_its_formula_on_inputs_of_both_signs(zennit, rule, by):
    torch.manual_seed(7)
    layer, x = nn.Linear(6, 3).double(), torch.randn(4, 6).double()
    w, b = layer.weight.detach(), layer.bias.detach()
    if isinstance(rule, Gamma):
        w = w + 0.3 * w.clamp(min=0)
    elif isinstance(rule, AlphaBeta):
        w = w.clamp(min=0)
    z = x @ w.T + b
    epsilon = rule.epsilon if isinstance(rule, Epsilon) else 1e-9
    shares = layer(x).detach()[:, 2] / (z + epsilon * z.sign())[:, 2]
    expected = x * w[2] * shares[:, None]
    model = nn.Sequential(layer)
    found = relevance(model, x, 2, composite=Composite(rule), by=by, tolerance=torch.inf)
    torch.testing.assert_close(found.map, expected, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("by", [None, ByCaptum(), ByZennit()])
@pytest.mark.parametrize("spare", [nn.ELU(), nn.LayerNorm(3), nn.LSTM(2, 2), nn.Linear(2, 2)])
def test_modules_that_never_run_do_not_stand_in_the_way(zennit, spare, by):
    model = tower(bias=False, norm="none")
    right = relevance(model, NORMALISED, 1, by=by).map
    found = relevance(Idle(model, spare), NORMALISED, 1, by=by)
    torch.testing.assert_close(found.map, right)


class Idle(nn.Module):
    def __init__(self, inner: nn.Module, spare: nn.Module) -> None:
        super().__init__()
        self.spare, self.inner = spare, inner

    def forward(self, x):
        return self.inner(x)

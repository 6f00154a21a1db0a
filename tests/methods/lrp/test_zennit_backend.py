"""Relevance through zennit; skipped without the [lrp] extra."""

import copy
import operator
import sys

import pytest
import torch
from captum.attr import InputXGradient
from torch import nn
from torch.nn import functional

from captum_influence import Cut
from captum_influence.methods.lrp.captum_backend import ByCaptum
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.rules import (
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Gamma,
    RelevanceRule,
)
from captum_influence.methods.lrp.zennit_backend import ByZennit
from captum_influence.network import fold_batchnorm
from captum_influence.testing.state import unchanged

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture
def zennit():
    composites = pytest.importorskip("zennit.composites", reason="zennit is the [lrp] extra")
    pytest.importorskip("zennit.rules")
    assert composites
    return sys.modules["zennit"]


def chain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, bias=False),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10, bias=False),
        nn.ReLU(),
        nn.Linear(10, 4, bias=False),
    ).double()


class Residual(nn.Module):
    """Sums, activations, poolings and a reused ReLU, by functions and operators; no bias."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.body = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.tail = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 4, bias=False)

    def forward(self, x):
        x = functional.relu(self.norm(self.stem(x)))
        x = functional.max_pool2d(x, 2)
        x = self.relu(x + self.body(x))
        y = self.tail(x)
        y += x
        y = self.relu(y)
        return self.head(functional.adaptive_avg_pool2d(y, 1).flatten(1) + y.mean((2, 3)))


COMPOSITES = {
    "epsilon": Composite(),
    "gamma": Composite.epsilon_gamma(),
    "alpha1_beta0": Composite.alpha1_beta0(),
    "bounded": Composite.epsilon_gamma(0.5, bounds=(0.0, 1.0)),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_where_both_apply_captum_and_zennit_agree(zennit, name):
    model, asked = chain(), {"composite": COMPOSITES[name], "layers": ["1", "3", "5"]}
    with unchanged(model):
        theirs = relevance(model, IMAGES, [0, 1, 2], by=ByZennit(), **asked)
    ours = relevance(model, IMAGES, [0, 1, 2], by=ByCaptum(), **asked)
    torch.testing.assert_close(ours.map, theirs.map, atol=1e-7, rtol=1e-6)
    for layer, values in ours.layers.items():
        torch.testing.assert_close(values, theirs.layers[layer], atol=1e-7, rtol=1e-6)
    assert (theirs.conservation_error < 1e-3).all()
    assert list(theirs.rules) == list(ours.rules)


RULES = {
    "epsilon": (Epsilon(1e-3), lambda r: r.Epsilon(1e-3)),
    "gamma": (Gamma(0.3), lambda r: r.Gamma(0.3, 1e-9)),
    "alpha1_beta0": (AlphaBeta(), lambda r: r.AlphaBeta(1, 0, 1e-9)),
    "bounded": (Bounded(0.0, 1.0), lambda r: r.ZBox(0.0, 1.0, 1e-9)),
}


@pytest.mark.parametrize("name", RULES)
def test_each_rule_of_captums_equals_zennits_used_by_hand(zennit, name):
    ours, theirs = RULES[name]
    model = chain().eval()
    plain = copy.deepcopy(model)
    for module in plain:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    base = zennit.composites.layer_map_base(1e-9)
    named = [(("0",), theirs(zennit.rules))]
    named += [(("3", "7", "9"), zennit.rules.Epsilon(1e-9))]
    leaf = IMAGES.clone().requires_grad_()
    with zennit.composites.NameLayerMapComposite(named, base).context(plain):
        score = plain(leaf)[:, 1]
        (expected,) = torch.autograd.grad(score, leaf, score.detach())
    found = relevance(model, IMAGES, 1, composite=Composite(first=ours), tolerance=10.0)
    assert found.by == ByCaptum()
    torch.testing.assert_close(found.map, expected, atol=1e-7, rtol=1e-6)


def test_a_residual_network_is_conserved_and_epsilon_is_input_times_gradient(zennit):
    model = Residual().double().eval()
    with unchanged(model):
        found = relevance(model, IMAGES, [0, 1, 2], layers="body")
    assert isinstance(found.by, ByZennit)
    assert (found.conservation_error < 1e-6).all()
    leaf = IMAGES.clone().requires_grad_()
    expected = InputXGradient(model).attribute(leaf, target=[0, 1, 2]).detach()
    torch.testing.assert_close(found.map, expected, atol=1e-7, rtol=1e-5)
    assert found.layers["body"].shape == (3, 6, 8, 8)


@pytest.mark.parametrize("name", COMPOSITES)
def test_other_rules_are_conserved_through_sums_as_well(zennit, name):
    model = Residual().double().train()
    with unchanged(model):
        found = relevance(model, IMAGES, 3, composite=COMPOSITES[name])
    assert (found.conservation_error < 1e-3).all()


def test_a_linear_residual_sum_is_not_doubled(zennit):
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4, bias=False)
            self.head = nn.Linear(4, 2, bias=False)

        def forward(self, x):
            return self.head(x + self.inner(x))

    model, x = Sum().double(), torch.rand(3, 4).double()
    weights = model.head.weight @ (torch.eye(4).double() + model.inner.weight)
    found = relevance(model, x, 1)
    torch.testing.assert_close(found.map, x * weights[1].detach(), atol=1e-6, rtol=1e-6)


def test_zennits_own_composites_and_canonizers(zennit):
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    model = models.resnet18(weights=None).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    x = torch.rand(1, 3, 32, 32).double()
    canonizers = [zennit.torchvision.ResNetCanonizer()]
    theirs = zennit.composites.EpsilonGammaBox(low=0.0, high=1.0, canonizers=canonizers)
    plain = copy.deepcopy(model)
    for module in plain.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    leaf = x.clone().requires_grad_()
    with theirs.context(plain) as changed:
        score = changed(leaf)[:, 7]
        (expected,) = torch.autograd.grad(score, leaf, score.detach())
    native = zennit.composites.EpsilonGammaBox(low=0.0, high=1.0)
    with unchanged(model):
        found = relevance(model, x, 7, by=ByZennit(native), tolerance=torch.inf)
    torch.testing.assert_close(found.map, expected, atol=1e-8, rtol=1e-5)
    assert found.rules["conv1"] == "ZBox"


def test_folded_norms_leave_the_answer_as_it_was(zennit):
    model = Residual(norm=True).double().eval()
    model.norm.running_mean.uniform_(-0.1, 0.1)
    found = relevance(model, IMAGES, 0, tolerance=torch.inf)
    torch.testing.assert_close(found.output, model(IMAGES)[:, 0].detach())


class Adding(nn.Module):
    """A leaf that isn't of torch.nn."""

    def forward(self, x, y):
        return functional.relu(x + y)


def test_leaves_of_ones_own_are_looked_into(zennit):
    class Skipping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4, bias=False)
            self.adding = Adding()
            self.head = nn.Linear(4, 2, bias=False)

        def forward(self, x):
            x = self.adding(x, self.inner(x))
            return self.head(self.adding(x, x))

    model, x = Skipping().double(), torch.rand(3, 4).double()
    found = relevance(model, x, 1, layers=Cut("adding", call=1))
    assert (found.conservation_error < 1e-6).all()
    leaf = x.clone().requires_grad_()
    expected = InputXGradient(model).attribute(leaf, target=1).detach()
    torch.testing.assert_close(found.map, expected, atol=1e-7, rtol=1e-5)
    (inner,) = found.layers.values()
    torch.testing.assert_close(inner.sum(1), found.output)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0].sum(1)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        return self.left(x) * self.right(x)


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(self.inner(x))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Gated(), "the function (mul|__mul__)"),
        (Reused(), "module inner runs 2 times"),
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)), "is a LayerNorm"),
        (Attention(), "multi_head_attention"),
    ],
)
def test_what_neither_gets_right_is_refused(zennit, model, reason):
    x = torch.rand(2, 3, 4) if isinstance(model, Attention) else torch.rand(2, 4)
    with unchanged(model), pytest.raises(ValueError, match=reason):
        relevance(model, x, 0)


def test_what_is_to_blame_is_named_once():
    layers = [layer for _ in range(9) for layer in (nn.Linear(4, 4), nn.LayerNorm(4))]
    with pytest.raises(ValueError, match="no rule") as caught:
        relevance(nn.Sequential(*layers), torch.rand(2, 4), 0)
    assert "module 1 (and 8 more) is a LayerNorm" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_failure_poisons_nothing(zennit):
    model = Residual().double()
    before = relevance(model, IMAGES, 0).map
    with unchanged(model), pytest.raises(ValueError, match="target is out of range"):
        relevance(model, IMAGES, 99)
    torch.testing.assert_close(relevance(model, IMAGES, 0).map, before, atol=0, rtol=0)


def test_a_rule_of_ones_own_and_two_composites_are_refused(zennit):
    class Mine(RelevanceRule):
        def made(self):
            return Epsilon().made()

    with pytest.raises(ValueError, match="zennit doesn't have"):
        relevance(Residual().double(), IMAGES, 0, composite=Composite(Mine()), by=ByZennit())
    native = ByZennit(zennit.composites.EpsilonPlus())
    with pytest.raises(ValueError, match="got both"):
        relevance(chain(), IMAGES, 0, composite=Composite(), by=native)


def test_without_zennit_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "zennit", None)
    for name in ("composites", "layer", "rules"):
        monkeypatch.setitem(sys.modules, f"zennit.{name}", None)
    model = Residual().double()
    with unchanged(model), pytest.raises(ValueError, match=r"captum-influence\[lrp\]"):
        relevance(model, IMAGES, 0)
    with pytest.raises(ImportError, match="pip install"):
        relevance(model, IMAGES, 0, by=ByZennit())
    gated = nn.Sequential(Gated())
    with pytest.raises(ValueError, match="mul") as caught:
        relevance(gated, torch.rand(2, 4), 0)
    assert "[lrp]" not in str(caught.value)  # which would not help


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


def test_an_input_that_the_network_normalises_itself(zennit):
    class Normalising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = chain()

        def forward(self, x):
            x -= 0.5  # in place
            return self.inner(x / torch.tensor([0.2, 0.3, 0.4]).double().view(1, 3, 1, 1))

    model = Normalising().eval()
    found = relevance(model, IMAGES, 1, tolerance=torch.inf)
    leaf = IMAGES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf.clone())[:, 1].sum(), leaf)
    torch.testing.assert_close(found.map, (slope * IMAGES).detach(), atol=1e-7, rtol=1e-5)


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

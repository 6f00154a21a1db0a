"""Relevance through zennit; skipped without the [lrp] extra."""

import copy
import sys

import pytest
import torch
from captum.attr import InputXGradient
from ruled import COMPOSITES
from torch import nn
from torch.nn import functional

from captum_influence import Cut
from captum_influence.methods.lrp.captum_backend import ByCaptum
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.operations_backend import ByOperations
from captum_influence.methods.lrp.rules import (
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Gamma,
    RelevanceRule,
)
from captum_influence.methods.lrp.zennit_backend import ByZennit
from captum_influence.testing.state import unchanged

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()


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
def test_what_it_does_not_get_right_is_refused(zennit, model, reason):
    x = torch.rand(2, 3, 4) if isinstance(model, Attention) else torch.rand(2, 4)
    with unchanged(model), pytest.raises(ValueError, match=reason):
        relevance(model, x, 0, by=ByZennit())


def test_what_is_to_blame_is_named_once():
    layers = [layer for _ in range(9) for layer in (nn.Linear(4, 4), nn.LayerNorm(4))]
    with pytest.raises(ValueError, match="no rule") as caught:
        relevance(nn.Sequential(*layers), torch.rand(2, 4), 0, by=ByCaptum())
    assert "module 1 (and 8 more) is a LayerNorm" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_failure_poisons_nothing(zennit):
    model = Residual().double()
    before = relevance(model, IMAGES, 0).map
    with unchanged(model), pytest.raises(ValueError, match="target 99 is out of range"):
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


def test_without_zennit_functions_have_the_same_rules(zennit, monkeypatch):
    model = Residual().double()
    there = relevance(model, IMAGES, 0)
    monkeypatch.setitem(sys.modules, "zennit", None)
    for name in ("composites", "layer", "rules"):
        monkeypatch.setitem(sys.modules, f"zennit.{name}", None)
    with unchanged(model):
        found = relevance(model, IMAGES, 0)
    assert found.by == ByOperations()
    torch.testing.assert_close(found.map, there.map, atol=1e-8, rtol=1e-6)
    with pytest.raises(ImportError, match=r"pip install 'captum-influence\[lrp\]'"):
        relevance(model, IMAGES, 0, by=ByZennit())


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

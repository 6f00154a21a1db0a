"""What Captum gets wrong is refused; what it gets right is its own, and leaves no trace."""

import copy

import pytest
import torch
from captum.attr import LRP, LayerLRP
from captum.attr._utils.lrp_rules import GammaRule
from torch import nn
from torch.nn import functional

from captum_influence import Cut
from captum_influence.methods.lrp.captum_backend import ByCaptum, Unsuited
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.rules import Composite
from captum_influence.testing.state import unchanged

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()
COMPOSITES = {"epsilon_gamma": Composite.epsilon_gamma()}


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


def test_it_says_what_it_distributed_and_which_bias_took_part():
    model = vgg_like(bias=True)
    with unchanged(model):
        found = ByCaptum().propagated(model, IMAGES, 2, None, [Cut("3")])
    torch.testing.assert_close(found.output, model.eval()(IMAGES)[:, 2].detach())
    assert found.biased == "0.bias"
    assert found.rules == dict.fromkeys(["0", "3", "8", "10"], "Epsilon(epsilon=1e-09)")
    assert [tuple(values.shape) for values in found.layers] == [(3, 8, 8, 8)]
    assert ByCaptum().kept() == ByCaptum()


def test_a_failing_network_leaves_no_trace():
    model = Residual().double()
    with unchanged(model), pytest.raises(Unsuited, match="two branches"):
        ByCaptum().propagated(model, torch.rand(1, 4).double(), 0, None, [])

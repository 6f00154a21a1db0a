"""The rules by slow replicas, entry by entry, as the papers write them."""

import pytest
import torch
from torch import nn

from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.rules import AlphaBeta, Bounded, Composite, Epsilon, Gamma
from captum_influence.testing.state import unchanged


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


def test_the_bounded_rule_of_a_convolution_is_that_of_the_dense_layer_that_it_is():
    torch.manual_seed(2)
    convolution = nn.Conv2d(2, 3, 2, bias=False).double()
    x = torch.rand(2, 2, 3, 3).double()
    # The same layer as a matrix: its rows are what each entry of the output weighs of the input.
    eye = torch.eye(18).double().view(18, 2, 3, 3)
    matrix = convolution(eye).flatten(1).T.detach()
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(12, 2, bias=False))
    model = model.double()
    with unchanged(model):
        found = relevance(model, x, 1, composite=Composite(first=Bounded(0.0, 1.0)))
    hidden = model[1](model[0](x)).flatten(1).detach()
    inner = hidden * model[3].weight[1].detach()
    expected = rows(x.flatten(1), matrix, inner).view_as(x)
    torch.testing.assert_close(found.map, expected, atol=1e-6, rtol=1e-6)


def test_only_positive_weights_count_for_alpha1_beta0():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 3, bias=False)).double()
    x = torch.rand(2, 4).double()
    found = relevance(model, x, 2, composite=Composite(dense=AlphaBeta()), tolerance=9.0)
    raised = x * model[0].weight[2].clamp(min=0).detach()
    score = model(x)[:, 2].detach()
    expected = raised / raised.sum(1, keepdim=True) * score[:, None]
    torch.testing.assert_close(found.map, expected, atol=1e-6, rtol=1e-6)


def test_epsilon_absorbs_its_part():
    model = nn.Linear(2, 1, bias=False).double()
    model.weight.data = torch.tensor([[1.0, 2.0]]).double()
    x = torch.ones(1, 2).double()  # score 3
    found = relevance(model, x, 0, composite=Composite(dense=Epsilon(1.0)), tolerance=9.0)
    torch.testing.assert_close(found.map, torch.tensor([[1.0, 2.0]]).double() * 3 / (3 + 1))
    torch.testing.assert_close(found.conservation_error, torch.tensor([0.25]).double())


def test_bounds_must_be_in_order():
    with pytest.raises(ValueError, match="low < high"):
        Bounded(1.0, 0.0)


def test_a_composite_gives_each_type_its_rule():
    rules = Composite.epsilon_gamma(0.5, bounds=(-1.0, 1.0))
    convolution, dense = nn.Conv2d(1, 1, 1), nn.Linear(1, 1)
    assert rules.rule_for(convolution, first=True) == Bounded(-1.0, 1.0)
    assert rules.rule_for(dense, first=True) == Bounded(-1.0, 1.0)
    assert rules.rule_for(convolution, first=False) == Gamma(0.5)
    assert rules.rule_for(dense, first=False) == Epsilon()
    assert Composite.alpha1_beta0().rule_for(convolution, first=True) == AlphaBeta()

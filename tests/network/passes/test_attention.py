"""Projections that a function is given the weights of are read, and replaced, to the bit."""

import attending
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Function
from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene


def test_heads_inside_torchs_own_attention() -> None:
    model, x = attending.encoder(), torch.randn(2, 5, attending.WIDTH, dtype=torch.float64)
    before = model(x)
    attention = Anatomy.of(model, x).attentions[1]
    assert (attention.name, attention.heads, attention.size) == ("layers.1.self_attn", 4, 2)
    first = Function(lambda out: out[:, 0, 3])
    measure = DistributionalInfluence(model, attention.cut, distribution=Point(), quantity=first)
    found = measure.attribute(x)
    # By finite differences: each feature of each head moved by hand, at one position.
    step = 1e-6
    for position, feature in ((0, 0), (4, 7)):
        moved = torch.zeros(5, attending.WIDTH, dtype=torch.float64)
        moved[position, feature] = step
        with intervene(model, attention.cut, lambda z, moved=moved: z + moved):
            slope = (model(x) - before)[:, 0, 3] / step
        torch.testing.assert_close(found[:, position, feature], slope, rtol=0, atol=1e-7)
    assert torch.equal(model(x), before)
    assert "forward" not in model.layers[1].self_attn.__dict__


def test_an_intervention_changes_no_bit_unless_it_is_asked_to() -> None:
    model, x = attending.encoder(), torch.randn(2, 5, attending.WIDTH, dtype=torch.float64)
    with intervene(model, Anatomy.of(model, x).attentions[0].cut, lambda z: z):
        inside = model(x)
    assert torch.equal(inside, model(x))


class Handing(nn.Module):
    """Calls its first layer, and hands the weight and bias of its second to a function."""

    def __init__(self, *, moved: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second, self.moved = nn.Linear(3, 4), nn.Linear(4, 2), moved

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x.to(self.first.weight.dtype)).tanh()
        bias = self.second.bias + 1 if self.moved else self.second.bias
        return functional.linear(z, self.second.weight, bias)


def test_a_layer_whose_weight_is_handed_to_a_function_runs_as_a_module() -> None:
    model, x = Handing().double(), torch.randn(5, 3, dtype=torch.float64)
    z = model.first(x).tanh().detach()
    row = model.second.weight[1].detach()
    inner = row * (1 - z**2)
    expected = {
        ("second", "output"): torch.tensor([0.0, 1.0], dtype=torch.float64).expand(5, 2),
        ("second", "input"): row.expand(5, 4),
        ("first", "output"): inner,
        ("first", "input"): inner @ model.first.weight.detach(),
    }
    before = model(x)
    for (name, side), slopes in expected.items():
        measure = DistributionalInfluence(model, Cut(name, side), distribution=Point(), quantity=1)
        torch.testing.assert_close(measure.attribute(x), slopes, rtol=0, atol=1e-12)
    with intervene(model, Cut("second", "input"), torch.zeros_like):
        assert torch.equal(model(x), model.second.bias.expand(5, 2))
    assert torch.equal(model(x), before)
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_a_forward_that_was_put_on_a_module_stays() -> None:
    model, x = Handing(), torch.randn(2, 3)
    own = model.forward
    model.forward = lambda x: own(2 * x)  # type: ignore[method-assign]
    put, before = model.forward, model(x)
    with intervene(model, Cut("second", "input"), lambda z: z):
        assert torch.equal(model(x), before)
    assert model.__dict__["forward"] is put


def test_another_bias_is_another_function() -> None:
    model = Handing(moved=True)
    measure = DistributionalInfluence(model, "second", distribution=Point(), quantity=1)
    with pytest.raises(RuntimeError, match="never ran"):
        measure.attribute(torch.randn(2, 3))

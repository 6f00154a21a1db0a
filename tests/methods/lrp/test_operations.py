"""One function at a time: values stay, and what comes back is what its rule says."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from captum_influence.methods.lrp.operations import Operations
from captum_influence.methods.lrp.rules import Composite


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def passed(function, x, *, through_softmax=True, parameters=None):
    """Run a function within the mode; its result, the relevance of x, and the mode."""
    leaf = x.clone().requires_grad_()
    mode = Operations(Composite(), parameters or {}, through_softmax=through_softmax)
    with mode:
        result = function(leaf.clone())
    torch.testing.assert_close(result, function(x.clone()), rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(result.sum(), leaf)
    return result.detach(), leaf.detach() * slope, mode


SHAPED = {
    "relu": functional.relu,
    "in place": lambda x: functional.relu(x, inplace=True),
    "its underscore": lambda x: x.tanh_(),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "square": lambda x: x * x,
    "power": lambda x: x**3,
    "gelu": functional.gelu,
    "by hand": lambda x: x * torch.sigmoid(1.702 * x),
    "in a root": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.04 * x**3))),
    "a quotient": lambda x: x / (1 + x.abs()),
    "cast": lambda x: functional.silu(x.float()).double(),
}


@pytest.mark.parametrize("name", SHAPED)
def test_activations_also_written_out_hand_on_what_comes(name):
    result, relevance, mode = passed(SHAPED[name], drawn(3, 4))
    near = 1e-6 if name == "cast" else 1e-10
    torch.testing.assert_close(relevance, result, rtol=near, atol=near)
    assert not mode.unruled


def test_what_a_function_is_at_zero_is_a_bias():
    result, relevance, mode = passed(torch.sigmoid, drawn(3, 4))
    torch.testing.assert_close(relevance, result - 0.5)
    assert list(mode.constants) == ["sigmoid(0)"]


def test_in_place_others_who_hold_the_tensor_read_the_new_values():
    def function(x):
        other = x
        functional.relu(x, inplace=True)
        return x + 2 * other

    result, relevance, _ = passed(function, drawn(3, 4))
    torch.testing.assert_close(relevance, result)


def test_a_root_that_was_changed_in_place_is_not_one():
    def function(x):
        y = x @ torch.eye(4).double()
        doubled = 2 * y
        y += 1
        return doubled * y  # which is no function of the new y

    _, relevance, mode = passed(function, drawn(3, 4))
    assert mode.rules["mul"] == "half to each factor"
    x = drawn(3, 4)
    torch.testing.assert_close(relevance, x * ((x + 1) + x))


PRODUCTS = {
    "times": lambda a, b: a * b,
    "in place": lambda a, b: (a + 0).mul_(b),
    "matrices": lambda a, b: a @ b.transpose(0, 1),
    "a sum of indices": lambda a, b: torch.einsum("ij,kj->ik", a, b),
    "beside a constant": lambda a, b: torch.addmm(torch.zeros(3, 3).double(), a, b.T),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_give_half_to_each_factor(name):
    left, right = nn.Linear(4, 4, bias=False).double(), nn.Linear(4, 4, bias=False).double()

    def function(x):
        return PRODUCTS[name](left(x[:, 0]), right(x[:, 1]))

    result, relevance, _ = passed(function, drawn(3, 2, 4))
    half = result.sum() / 2
    torch.testing.assert_close(relevance.sum((0, 2)), torch.stack([half, half]).detach())


HELD = {
    "a root": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    "a power": lambda x: x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).pow(-0.5),
    "one by it": lambda x: x * (1 / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()),
    "a divisor": lambda x: x / x.abs().sum(-1, keepdim=True),
    "opened": lambda x: functional.normalize(x, dim=-1),
    "torch's own": lambda x: functional.rms_norm(x, (4,)),
}


@pytest.mark.parametrize("name", HELD)
def test_norms_without_a_mean_hand_on_what_comes(name):
    result, relevance, mode = passed(HELD[name], drawn(3, 4))
    torch.testing.assert_close(relevance, result, rtol=1e-8, atol=1e-8)
    assert not mode.unruled


def test_softmax_goes_by_the_papers_formula_or_not_at_all():
    result, relevance, mode = passed(
        lambda x: x.softmax(-1) * torch.arange(4).double(), drawn(3, 4)
    )
    x, s = drawn(3, 4), drawn(3, 4).softmax(-1)
    torch.testing.assert_close(relevance, x * (result - s * result.sum(-1, keepdim=True)))
    assert "the constant of softmax" in mode.constants
    held = passed(lambda x: x.softmax(-1) @ x.T, drawn(3, 3), through_softmax=False)[1]
    torch.testing.assert_close(held.sum(), (drawn(3, 3).softmax(-1) @ drawn(3, 3).T).sum())


def test_parameters_are_constants_and_biases_are_named():
    net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).double()
    net[0].weight.data.copy_(torch.eye(4))
    names = dict(net.named_parameters())
    place = nn.Parameter(drawn(4, seed=3))
    _, _, mode = passed(lambda x: net(x) + 2 * place, drawn(3, 4), parameters=names)
    assert list(mode.constants) == ["0.bias", "1.bias", "what else is added"]
    scaled = passed(lambda x: x * (2 * place), drawn(3, 4))[2]
    assert not scaled.constants
    assert not scaled.rules  # a factor that follows nothing


def test_what_has_no_rule_is_named_once():
    _, _, mode = passed(
        lambda x: x.log_softmax(-1) + x.logsumexp(-1, True).log_softmax(-1), drawn(3, 4)
    )
    assert list(mode.unruled) == ["log_softmax", "logsumexp"]

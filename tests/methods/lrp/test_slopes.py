"""Paths: values as torch has them, slopes as the rules have them."""

import math

import pytest
import torch
from torch.nn import functional

from captum_influence.methods.lrp.rules import AlphaBeta, Bounded, Epsilon, Gamma
from captum_influence.methods.lrp.slopes import (
    along,
    attended,
    by_ratio,
    groups_normed,
    layers_normed,
    roots_normed,
    weighed_by,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def slope(result, x, weights=None):
    """What comes back to x of weights at the result, of ones by default."""
    weights = torch.ones_like(result) if weights is None else weights
    return torch.autograd.grad(result, x, weights)[0]


def test_a_value_along_a_path():
    x = drawn(4).requires_grad_()
    found = along(3 * x, x.detach().exp())
    torch.testing.assert_close(found, x.exp())
    torch.testing.assert_close(slope(found, x), torch.full((4,), 3.0).double())


def test_an_elementwise_function_hands_on_all_but_its_value_at_zero():
    x = torch.tensor([-2.0, 0.0, 0.5], dtype=torch.float64, requires_grad=True)
    found = by_ratio(x, torch.sigmoid(x), 0.5)
    torch.testing.assert_close(x * slope(found, x), torch.sigmoid(x) - 0.5)


NORMS = {
    "layer_norm": (layers_normed, functional.layer_norm, ((6,),)),
    "rms_norm": (roots_normed, functional.rms_norm, ((6,),)),
    "group_norm": (groups_normed, functional.group_norm, (2,)),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_what_torch_computes_and_hold_their_scale_constant(name):
    path, plain, sizes = NORMS[name]
    x = (drawn(3, 6) if name == "group_norm" else drawn(3, 4, 6)).requires_grad_()
    weight, bias = drawn(6, seed=1), drawn(6, seed=2)
    given = (weight,) if name == "rms_norm" else (weight, bias)
    found, whole = path(x, *sizes, *given), plain(x, *sizes, *given)
    torch.testing.assert_close(found + (0 if name == "rms_norm" else bias), whole)
    torch.testing.assert_close(path(x, *sizes), plain(x, *sizes))
    # What comes back to x adds up to the value: nothing ends in the scale.
    shares = drawn(*found.shape, seed=3)
    torch.testing.assert_close((x * slope(found, x, shares)).sum(), (found * shares).sum())


def test_the_scale_of_rms_norm_is_that_of_its_own_precision_by_default():
    x = torch.full((1, 4), 1e-4)
    torch.testing.assert_close(roots_normed(x, (4,)), functional.rms_norm(x, (4,)))


MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "seen": {"attn_mask": torch.tensor([[True, False, True]] * 3)},
    "added": {"attn_mask": drawn(3, 3, seed=5)},
    "scaled": {"scale": 0.3},
    "blind": {"attn_mask": torch.tensor([[True, True, True], [False] * 3, [True, False, False]])},
    "never": {"attn_mask": torch.tensor([[0.0, 0.0, -math.inf]] * 3).double()},
}


@pytest.mark.parametrize("name", MASKS)
def test_attention_is_what_torch_computes_with_its_gradients(name):
    parts = [drawn(2, 2, 3, 4, seed=s).requires_grad_() for s in range(3)]
    found = attended(*parts, **MASKS[name])
    expected = functional.scaled_dot_product_attention(*parts, **MASKS[name])
    torch.testing.assert_close(found, expected)
    shares = drawn(*found.shape, seed=4)
    for part in parts:
        torch.testing.assert_close(
            torch.autograd.grad(found, part, shares, retain_graph=True),
            torch.autograd.grad(expected, part, shares, retain_graph=True),
        )


def test_attention_with_fewer_keys_than_queries_heads():
    query, key, value = drawn(2, 4, 3, 4), drawn(2, 2, 3, 4, seed=1), drawn(2, 2, 3, 4, seed=2)
    torch.testing.assert_close(
        attended(query, key, value, enable_gqa=True),
        functional.scaled_dot_product_attention(query, key, value, enable_gqa=True),
    )


RULES = {
    "epsilon": (Epsilon(0.5), lambda w: w, 0.5),
    "gamma": (Gamma(0.3), lambda w: w + 0.3 * w.clamp(min=0), 1e-9),
    "alpha beta": (AlphaBeta(), lambda w: w.clamp(min=0), 1e-9),
}


@pytest.mark.parametrize("name", RULES)
def test_weighted_layers_share_out_as_their_rule_is_written(name):
    rule, changed, epsilon = RULES[name]
    x, weight, bias = drawn(1, 3).requires_grad_(), drawn(2, 3, seed=1), drawn(2, seed=2)
    result = functional.linear(x, weight, bias)
    found = weighed_by(rule, result, lambda w: functional.linear(x, w, bias), weight)
    torch.testing.assert_close(found, result)
    arrives = drawn(1, 2, seed=3)  # relevance of the outputs
    slow = torch.zeros(3).double()
    for j in range(2):
        parts = [float(x[0, i].detach() * changed(weight)[j, i]) for i in range(3)]
        whole = sum(parts) + float(bias[j])
        whole += epsilon if whole >= 0 else -epsilon
        slow += torch.tensor([part / whole * float(arrives[0, j]) for part in parts])
    handed = x * slope(found, x, arrives / result)
    torch.testing.assert_close(handed[0], slow, rtol=1e-6, atol=0)


def test_a_rule_that_is_not_one_of_slopes_is_refused():
    with pytest.raises(ValueError, match="isn't one of slopes"):
        weighed_by(Bounded(), drawn(2), lambda w: w, drawn(2))

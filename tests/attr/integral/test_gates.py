"""Slopes that go on through some units: truth by products of matrices."""

import pytest
import torch
from torch.autograd.graph import get_gradient_edge

from captum_influence.attr.integral import gates
from captum_influence.attr.integral.gates import gated
from captum_influence.network.cuts import Cut

A = torch.arange(12.0).reshape(4, 3).double().sin()
CUTS = [Cut("first"), Cut("second")]
MASK = torch.tensor([True, False, True, False])


def test_they_go_back_through_the_mask_alone_and_not_round_it() -> None:
    z = torch.ones(2, 3).double().requires_grad_()
    y = z @ A.T
    value = (y**2).sum(1) + z.sum(1)  # which goes round y
    edges = [(get_gradient_edge(z),), (get_gradient_edge(y),)]
    slope = torch.autograd.grad(value.sum(), edges[1], retain_graph=True)
    (found,) = gated(slope, CUTS, edges, [MASK], {})
    torch.testing.assert_close(found, (2 * y * MASK).detach() @ A)


def test_layers_without_a_way_between_are_named() -> None:
    z, other = (torch.ones(2, 3).double().requires_grad_() for _ in range(2))
    y = other @ A.T
    edges = [(get_gradient_edge(z),), (get_gradient_edge(y),)]
    with pytest.raises(ValueError, match="no way from the output of second to the quantity"):
        gated([None], CUTS, edges, [MASK], {})
    with pytest.raises(ValueError, match="from the output of first to the output of second"):
        gated([torch.ones(2, 4).double()], CUTS, edges, [MASK], {})


def test_an_autograd_that_crashes_is_asked_only_for_what_it_reaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    z, other = (torch.ones(2, 3).double().requires_grad_() for _ in range(2))
    y = z @ A.T
    edges = [get_gradient_edge(z), get_gradient_edge(other)]
    assert gates.reached([y.grad_fn], edges) == [True, True]
    monkeypatch.setattr(gates, "_CRASHES", True)
    assert gates.reached([y.grad_fn], edges) == [True, False]
    both = [(edges[0],), (get_gradient_edge(y),)]
    (found,) = gated([torch.ones(2, 4).double()], CUTS, both, [MASK], {})
    torch.testing.assert_close(found, MASK.double().expand(2, 4) @ A)

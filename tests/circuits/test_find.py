"""A circuit that is known is found, all of it and no more."""

import pytest
import torch

from captum_influence.attr.distributions import Point
from captum_influence.attr.next_token import NextToken
from captum_influence.circuits.find import circuit
from captum_influence.demo import induction_network

MODEL = induction_network()
CLEAN = torch.tensor([[0, 3, 1, 4, 5, 3], [0, 7, 2, 4, 5, 7], [0, 1, 8, 6, 4, 1]])
OTHER = torch.tensor([[0, 9, 2, 6, 8, 4], [0, 6, 3, 1, 5, 1], [0, 9, 2, 6, 4, 6]])
NEXT = NextToken([1, 2, 8])
# Who looked one place back is heard as a key; the token itself as query and value. The places are
# the same in both inputs, so what tells heads where to look carries nothing.
KNOWN = {
    "input->a0.h0<v>",
    "a0.h0->a1.h0<k>",
    "input->a1.h0<q>",
    "input->a1.h0<v>",
    "a1.h0->logits",
}


@pytest.mark.parametrize("distribution", [None, Point()])
def test_the_induction_circuit_is_recovered(distribution) -> None:
    found = circuit(MODEL, (CLEAN, OTHER), NEXT, distribution=distribution, controls=3)
    assert set(found.edges) == KNOWN
    assert found.nodes == ("input", "a0.h0", "a1.h0")
    assert found.share == pytest.approx(1, abs=1e-6)
    assert float(found.chance.max()) < 0.5
    scores = torch.where(found.chosen, 0.0, found.scores)
    assert not bool(scores.any())  # and no other edge carries anything


def test_every_edge_of_it_is_needed() -> None:
    whole = circuit(MODEL, (CLEAN, OTHER), NEXT, controls=1)
    for size in range(1, 5):
        part = circuit(MODEL, (CLEAN, OTHER), NEXT, edges=size, sizes=[size], controls=1)
        assert part.size == size
        assert part.share < 0.5
        assert set(part.edges) < set(whole.edges)


def test_the_network_is_left_as_it_was() -> None:
    state = {name: tensor.clone() for name, tensor in MODEL.state_dict().items()}
    circuit(MODEL, (CLEAN, OTHER), NEXT, edges=3, controls=1)
    assert all(torch.equal(state[name], tensor) for name, tensor in MODEL.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in MODEL.modules())
    assert all(parameter.requires_grad for parameter in MODEL.parameters())


def test_the_seed_decides_which_random_circuits() -> None:
    first, again = (circuit(MODEL, (CLEAN, OTHER), NEXT, seed=4, controls=3) for _ in range(2))
    torch.testing.assert_close(first.curve.random, again.curve.random)


def test_what_cannot_be_asked_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="corruption changes"):
        circuit(MODEL, (CLEAN, CLEAN), NEXT)
    with pytest.raises(ValueError, match="from 1 to 29"):
        circuit(MODEL, (CLEAN, OTHER), NEXT, edges=30)
    with pytest.raises(ValueError, match="at least one random"):
        circuit(MODEL, (CLEAN, OTHER), NEXT, controls=0)
    with pytest.raises(TypeError, match="did you mean"):
        circuit(MODEL, (CLEAN, OTHER), NEXT, sed=1)  # type: ignore[call-arg]

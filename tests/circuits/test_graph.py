"""A circuit grows from the logits, along the edges that carry most."""

import torch

from captum_influence.circuits.graph import Graph

BEFORE = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]], dtype=torch.bool)
GRAPH = Graph(("input", "a0.h0", "m0"), ("a0.h0<q>", "a0.h0<v>", "m0", "logits"), BEFORE)
SCORES = torch.tensor([[9.0, 0, 0], [0.2, 0, 0], [0.1, -5.0, 0], [0.3, 0.4, -1.0]])


def chosen(count: int) -> set[str]:
    return {GRAPH.edge(r, w) for r, w in GRAPH.connected(SCORES, count).nonzero().tolist()}


def test_what_carries_most_is_next_among_what_leads_to_the_logits() -> None:
    assert GRAPH.size == 7
    assert chosen(1) == {"m0->logits"}  # not the largest of all, which nobody there hears yet
    assert chosen(2) == {"m0->logits", "a0.h0->m0"}
    assert chosen(3) == {"m0->logits", "a0.h0->m0", "input->a0.h0<q>"}
    assert len(chosen(7)) == 7
    assert len(chosen(70)) == 7


def test_random_circuits_are_connected_too() -> None:
    draws = torch.Generator().manual_seed(0)
    for size in range(1, 8):
        circuit = GRAPH.random(size, draws)
        assert int(circuit.sum()) == size
        assert not bool((circuit & ~BEFORE).any())
        heard = {GRAPH.writers[w] for _, w in circuit.nonzero().tolist()}
        read = {GRAPH.readers[r].partition("<")[0] for r, _ in circuit.nonzero().tolist()}
        assert read <= heard | {"logits"}

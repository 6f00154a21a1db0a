"""Nodes alone: truth by a network written out, with what isn't kept put in by hand."""

import attending
import pytest
import torch
from torch import Tensor

from captum_influence.attr.quantities import Function
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.patterns.course import Course
from captum_influence.circuits.patterns.keeping import Nodes, answers

CLEAN = torch.tensor([[3, 1, 4, 1], [2, 7, 1, 8]])
OTHER = torch.tensor([[3, 9, 4, 9], [2, 7, 0, 5]])
LAST = Function(lambda scores: scores[:, -1, 7])


def _by_hand(model: attending.Reader, nodes: Nodes) -> Tensor:
    stream, other = model.words(CLEAN), model.words(OTHER)
    stream = torch.where(nodes.tokens[:, None], stream, other)
    for block, heads, skips in zip(model.blocks, nodes.heads, nodes.skips, strict=True):
        own, theirs = (block.attention.heads(block.norm(x)) for x in (stream, other))
        given = torch.where(heads.T[..., None], own, theirs)
        x = torch.where(skips[:, None], stream, other)
        x = x + block.attention.out(given.transpose(1, 2).flatten(2))
        z = block.second(x)
        stream = x + block.down(torch.sigmoid(block.gate(z)) * block.up(z))
        other, _ = block(other)
    return model.scores(stream)[:, -1, 7].detach()


def test_what_is_not_kept_is_what_it_is_for_the_corrupted_input() -> None:
    model, draws = attending.reader(), torch.Generator().manual_seed(0)
    course = Course.of(model, CLEAN)
    others = course.passed(OTHER)
    sets = [
        Nodes(*(torch.rand(shape, generator=draws) < 0.6 for shape in ((4,), (2, 4, 4), (2, 4))))
        for _ in range(5)
    ]
    found = answers(course, Pairs(CLEAN, OTHER), LAST, others, sets)
    expected = torch.stack([_by_hand(model, nodes) for nodes in sets])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("network", [attending.reader(), attending.encoder()])
def test_all_nodes_are_the_network_and_none_the_corrupted_input(network) -> None:
    clean, other = CLEAN, OTHER
    if not isinstance(network, attending.Reader):
        clean, other = (torch.randn(2, 4, attending.WIDTH).double() for _ in range(2))
    last = Function(lambda output: output[:, -1, 3])
    course = Course.of(network, clean)
    shapes = ((4,), (2, 4, 4), (2, 4))
    sets = [
        Nodes(*(torch.full(shape, kept, dtype=torch.bool) for shape in shapes))
        for kept in (True, False)
    ]
    found = answers(course, Pairs(clean, other), last, course.passed(other), sets)
    for row, given in zip(found, (clean, other), strict=True):
        torch.testing.assert_close(row, network(given)[:, -1, 3].detach(), rtol=0, atol=1e-12)


def test_nodes_of_routes_are_those_that_they_pass() -> None:
    positions, heads = torch.tensor([[2, 3], [1, 3]]), torch.tensor([[0, 1], [-1, 1]])
    nodes = Nodes.of(torch.tensor([0, 1]), positions, heads, 4, (2, 2))
    assert nodes.tokens.tolist() == [True, True, False, False]
    assert nodes.heads.nonzero().tolist() == [[0, 2, 0], [1, 3, 1]]
    assert nodes.skips.nonzero().tolist() == [[0, 1]]

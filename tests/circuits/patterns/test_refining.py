"""Patterns: truth by Jacobians of a network written out, and all routes tried."""

from __future__ import annotations

import itertools

import attending
import pytest
import torch
from torch import Tensor

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quantities import Function
from captum_influence.circuits.patterns.find import routes
from captum_influence.network.cuts import Cut

CLEAN, OTHER = torch.tensor([[3, 1, 4]]), torch.tensor([[3, 9, 5]])
LENGTH, HEADS, SKIP = 3, 4, -1
LAST = Function(lambda scores: scores[:, -1, 7])
ALPHAS = (0.25, 0.75)
Node = tuple[int, int]  # position, head


def _through(block: attending.GatedBlock, x: Tensor, skip: Tensor, heads: Tensor) -> Tensor:
    """Return what a block hands on, given what goes round its attention, and what heads give."""
    x = skip + block.attention.out(heads.transpose(1, 2).flatten(2))
    z = block.second(x)
    return x + block.down(torch.sigmoid(block.gate(z)) * block.up(z))


def _maps(block: attending.GatedBlock, x: Tensor) -> dict[Node | None, Tensor]:
    """Return the Jacobian of each way through a block, and of the block itself (None)."""
    fixed = block.attention.heads(block.norm(x)).detach()

    def alone(node: Node | None, y: Tensor) -> Tensor:
        heads = block.attention.heads(block.norm(y))
        if node is None:
            return _through(block, y, y, heads)
        place, head = node
        if head == SKIP:
            skip = x.clone()
            skip[:, place] = y[:, place]
            return _through(block, y, skip, fixed)
        mixed = fixed.clone()
        mixed[:, head, place] = heads[:, head, place]
        return _through(block, y, x, mixed)

    nodes = [None, *itertools.product(range(LENGTH), range(SKIP, HEADS))]
    return {
        node: torch.autograd.functional.jacobian(lambda y, node=node: alone(node, y), x)
        for node in nodes
    }


def _patterns(model: attending.Reader, x: Tensor, moved: Tensor) -> dict[tuple, Tensor]:
    """Return the influence of each route of each token, and of tokens: (token, node, node)."""
    streams = [x]
    for block in model.blocks:
        streams.append(block(streams[-1])[0])
    first, second = (_maps(b, s) for b, s in zip(model.blocks, streams, strict=False))
    end = streams[-1].detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.scores(end)[0, -1, 7], end)
    found = {}
    for token in range(LENGTH):
        v = torch.zeros_like(moved)
        v[:, token] = moved[:, token]
        behind = {node: torch.tensordot(j, v, 3) for node, j in first.items()}
        for one, rate in behind.items():
            for two, jacobian in second.items():
                found[token, one, two] = (slope * torch.tensordot(jacobian, rate, 3)).sum()
    return found


def _truth(model: attending.Reader, points: list[float]) -> dict[tuple, float]:
    clean, other = (model.words(ids).detach() for ids in (CLEAN, OTHER))
    each = [_patterns(model, other + a * (clean - other), clean - other) for a in points]
    return {key: float(sum(one[key] for one in each)) / len(points) for key in each[0]}


@pytest.fixture(scope="module")
def model() -> attending.Reader:
    return attending.reader()


@pytest.fixture(scope="module", params=["point", "path"])
def case(request: pytest.FixtureRequest, model: attending.Reader) -> tuple:
    if request.param == "point":
        return Point(), _truth(model, [1.0])
    path = LinearPath(Inputs(OTHER), 2, rule="riemann_middle")
    return path, _truth(model, [*ALPHAS])


def test_each_choice_is_the_best_and_has_the_chain_rule_s_value(
    case: tuple, model: attending.Reader
) -> None:
    over, truth = case
    found = routes(model, (CLEAN, OTHER), LAST, distribution=over, controls=1)
    assert found.starts.tolist() == [1, 2]  # token 0 is the same
    for row, token in enumerate(found.starts.tolist()):
        total = truth[token, None, None]
        assert float(found.totals[row]) == pytest.approx(total, abs=1e-12)
        sign = 1 if total > 0 else -1
        first = {n: sign * v for (t, n, m), v in truth.items() if t == token and m is None and n}
        best = max(first, key=first.__getitem__)
        second = {m: sign * v for (t, n, m), v in truth.items() if t == token and n == best and m}
        last = max(second, key=second.__getitem__)
        nodes = list(zip(found.positions[row].tolist(), found.heads[row].tolist(), strict=True))
        assert nodes == [best, last]
        expected = [sign * first[best], sign * second[last]]
        assert found.values[row].tolist() == pytest.approx(expected, abs=1e-12)


def test_all_routes_of_a_token_add_up_to_what_it_does(case: tuple) -> None:
    _, truth = case
    for token in (1, 2):
        parts = [v for (t, n, m), v in truth.items() if t == token and n and m]
        assert sum(parts) == pytest.approx(truth[token, None, None], abs=1e-12)


def test_random_routes_are_routes_with_their_own_values(
    case: tuple, model: attending.Reader
) -> None:
    over, truth = case
    found = routes(model, (CLEAN, OTHER), LAST, distribution=over, controls=6)
    of_token = {
        row: [v for (t, n, m), v in truth.items() if t == token and n and m]
        for row, token in enumerate(found.starts.tolist())
    }
    for draw in found.random:
        for row, value in enumerate(draw.tolist()):
            assert min(abs(value - other) for other in of_token[row]) < 1e-12
            assert value != 0
    assert len({round(v, 12) for v in found.random[:, 0].tolist()}) > 1


def test_a_route_of_heads_is_what_passes_through_them(model: attending.Reader) -> None:
    truth = _truth(model, [1.0])
    token, head = 1, 2
    layers = [Cut(f"blocks.{b}.attention.out", "input") for b in (0, 1)]
    passed = [
        (layer, [(place, 2 * head + i) for i in (0, 1)])
        for layer, place in zip(layers, (1, 2), strict=True)
    ]
    measure = DistributionalInfluence(
        model,
        "words",
        distribution=Point(),
        quantity=LAST,
        multiply_by_inputs=True,
        reference=Inputs(OTHER),
        through=passed,
    )
    value = float(measure.attribute(CLEAN)[0, token].sum())
    assert value == pytest.approx(truth[token, (1, head), (2, head)], abs=1e-12)


def test_parts_of_all_routes_are_the_same_routes(model: attending.Reader) -> None:
    whole = routes(model, (CLEAN, OTHER), LAST, controls=2)
    parts = routes(model, (CLEAN, OTHER), LAST, controls=2, internal_batch_size=1)
    assert torch.equal(whole.positions, parts.positions)
    torch.testing.assert_close(whole.values, parts.values, rtol=0, atol=1e-12)

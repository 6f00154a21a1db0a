"""Straight paths: from where to where, through which nodes, and shared by examples."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import DistributionalInfluence, LinearPath
from captum_influence.attr import GaussLegendre, Midpoint, StratifiedPath, Trapezoid
from captum_influence.attr.paths import PathNodes
from captum_influence.testing import check_distribution

X = 1 + torch.sin(torch.arange(12, dtype=torch.float64)).reshape(3, 4)
FAR = torch.cos(torch.arange(4, dtype=torch.float64)) - 2
REFERENCE = LinearPath(0.0, 2187, Midpoint())  # 3 ** 7 points


def _net() -> nn.Sequential:
    torch.manual_seed(1)
    layers = [nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3)]
    return nn.Sequential(*layers).double()


def _inputs(count: int) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(2)).double() * 2


# Straight paths -----------------------------------------------------------------------------------


def test_the_path_runs_straight_from_the_baseline() -> None:
    found = list(LinearPath(FAR, n=4, rule="riemann_right").points((X,)))
    for number, (weight, point, anchor) in enumerate(found, start=1):
        assert weight == 0.25
        assert torch.allclose(point[0], FAR + number / 4 * (X - FAR), atol=1e-14)
        assert anchor is None
    assert torch.equal(LinearPath(FAR).reference((X,))[0], FAR.expand(3, 4))


def test_a_rule_is_chosen_once() -> None:
    assert LinearPath().rule == GaussLegendre()
    assert LinearPath(n="auto").rule == Midpoint()
    assert LinearPath(rule="riemann_trapezoid").rule == Trapezoid()
    with pytest.raises(ValueError, match=r"Trapezoid needs at least 2 point\(s\), got n=1"):
        LinearPath(n=1, rule=Trapezoid())


def test_auto_refuses_other_rules_and_tolerances() -> None:
    with pytest.raises(ValueError, match="refines the midpoint rule"):
        LinearPath(0.0, "auto", "gausslegendre")
    with pytest.raises(ValueError, match="positive tolerance"):
        LinearPath(0.0, "auto", tolerance=0.0)


@pytest.mark.parametrize("n", [3, 9, 27])
def test_refining_adds_what_a_third_of_the_points_lack(n: int) -> None:
    path = LinearPath(FAR, n="auto")
    new = path.refined(n, torch.tensor([0, 2]))
    whole, third = (Midpoint()(count)[0] for count in (n, n // 3))
    assert new.size == n - n // 3
    assert torch.allclose(torch.cat([new.alphas, third]).sort().values, whole, atol=1e-15)
    assert torch.allclose(new.weights, torch.full_like(new.weights, 1 / n))


def test_nodes_for_some_examples_leave_the_others_out() -> None:
    nodes = PathNodes(
        FAR, torch.tensor([0.25, 1.0]), torch.tensor([0.5, 0.5]), torch.tensor([2, 0])
    )
    blocks = list(nodes.blocks((X,), rows=3))
    assert [len(block) for block in blocks] == [3, 1]
    rows = [(int(e), int(k)) for b in blocks for e, k in zip(b.examples, b.numbers, strict=True)]
    assert rows == [(2, 0), (2, 1), (0, 0), (0, 1)]
    points = torch.cat([block.points[0] for block in blocks])
    for (example, number), point in zip(rows, points, strict=True):
        expected = FAR + (0.25, 1.0)[number] * (X[example] - FAR)
        assert torch.allclose(point, expected, atol=1e-14)


def test_each_example_may_have_nodes_of_its_own() -> None:
    alphas = torch.rand(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nodes = PathNodes(0.0, alphas, torch.tensor([0.5, 0.5], dtype=torch.float64))
    check_distribution(nodes, X)
    for number, (_, (point,), _) in enumerate(nodes.points((X,))):
        assert torch.allclose(point, alphas[:, number, None] * X, atol=1e-14)


def test_paths_say_in_words_where_they_begin() -> None:
    words = LinearPath(0.5, 9).in_words()
    assert words == "9 points on the straight path from 0.5 everywhere to the input"
    assert "from a baseline to" in LinearPath(FAR).in_words()


# Paths shared by examples -------------------------------------------------------------------------


def test_offsets_fill_the_unit_interval_evenly() -> None:
    alphas = StratifiedPath(n=4)._nodes((torch.zeros(89, 1),)).alphas  # 89 is a Fibonacci number
    assert ((alphas >= 0) & (alphas < 1)).all()
    gaps = alphas.diff(dim=1)
    assert torch.allclose(gaps, torch.full_like(gaps, 1 / 4))
    spread = (4 * alphas[:, 0]).sort().values.diff()
    assert float(spread.max()) < 2.7 / 89  # three gap lengths; none is long


def test_a_mean_over_examples_is_nearly_that_of_fine_paths() -> None:
    net, x = _net(), _inputs(128)
    fine = DistributionalInfluence(net, "0", distribution=REFERENCE).attribute(x, target=1)
    few = StratifiedPath(0.0, n=4)
    found = DistributionalInfluence(net, "0", distribution=few).attribute(x, target=1)
    error = (found.mean(dim=0) - fine.mean(dim=0)).norm()
    sampling = (fine.var(dim=0) / len(x)).sum().sqrt()
    assert error <= sampling / 3


def test_a_shared_path_is_unbiased() -> None:
    net, x = _net(), _inputs(1)
    fine = DistributionalInfluence(net, "0", distribution=REFERENCE).attribute(x, target=1)
    draws = [
        DistributionalInfluence(net, "0", distribution=StratifiedPath(0.0, 2, seed)).attribute(
            x, target=1
        )
        for seed in range(400)
    ]
    stacked = torch.stack(draws)
    error = (stacked.mean(dim=0) - fine).abs()
    assert (error <= 4.5 * stacked.std(dim=0) / 20 + 1e-3).all()


def test_numbers_make_a_batch_part_of_a_data_set() -> None:
    net, x = _net(), _inputs(10)
    path = StratifiedPath(0.0, 3)
    whole = DistributionalInfluence(net, "0", distribution=path).attribute(x, target=0)
    for part in torch.split(torch.arange(10), 4):
        some = DistributionalInfluence(net, "0", distribution=path.numbered(part))
        assert torch.allclose(some.attribute(x[part], target=0), whole[part], atol=1e-14)

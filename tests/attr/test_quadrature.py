"""Rules integrate what they promise to, exactly, and refuse what they can't."""

import time

import numpy as np
import pytest
import torch

from captum_influence import LinearPath
from captum_influence.attr import (
    GaussLegendre,
    LeftRiemann,
    Midpoint,
    RightRiemann,
    Rule,
    Trapezoid,
)

EXAMPLES = [GaussLegendre(), LeftRiemann(), Midpoint(), RightRiemann(), Trapezoid()]
COUNTS = [2, 3, 10, 50]


@pytest.mark.parametrize("rule", EXAMPLES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("n", COUNTS)
def test_weights_sum_to_one_and_nodes_increase_within_the_unit_interval(rule: Rule, n: int) -> None:
    nodes, weights = rule(n)
    assert nodes.dtype == weights.dtype == torch.float64
    assert nodes.shape == weights.shape == (n,)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-14)
    assert bool((nodes[1:] > nodes[:-1]).all())
    assert float(nodes[0]) >= 0
    assert float(nodes[-1]) <= 1


@pytest.mark.parametrize(
    ("rule", "degree"),
    [
        (GaussLegendre(), 9),
        (Midpoint(), 1),
        (Trapezoid(), 1),
        (LeftRiemann(), 0),
        (RightRiemann(), 0),
    ],
)
def test_polynomials_are_integrated_exactly_up_to_the_degree(rule: Rule, degree: int) -> None:
    nodes, weights = rule(5)
    for power in range(degree + 1):
        assert float((weights * nodes**power).sum()) == pytest.approx(1 / (power + 1), abs=1e-14)
    beyond = float((weights * nodes ** (degree + 1)).sum())
    assert abs(beyond - 1 / (degree + 2)) > 1e-9


def test_gauss_legendre_is_the_textbook_two_point_rule() -> None:
    nodes, weights = GaussLegendre()(2)
    expected = torch.tensor([0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3)])
    assert torch.allclose(nodes, expected.double(), atol=1e-15)
    assert weights.tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("n", [1, 2, 3, 7, 50, 99, 400])
def test_gauss_legendre_is_numpys_by_eigenvalues(n: int) -> None:
    nodes, weights = GaussLegendre()(n)
    expected, weighing = np.polynomial.legendre.leggauss(n)
    assert torch.allclose(2 * nodes - 1, torch.from_numpy(expected), rtol=0, atol=4e-16)
    assert torch.allclose(2 * weights, torch.from_numpy(weighing), rtol=0, atol=4e-14)


def test_four_thousand_points_are_exact_and_cost_no_second() -> None:
    start = time.process_time()
    nodes, weights = GaussLegendre()(4001)  # a number that no other test has asked for
    assert time.process_time() - start < 2  # 40 by eigenvalues
    for power in (0, 1, 10, 999, 7001):
        assert float((weights * nodes**power).sum()) == pytest.approx(1 / (power + 1), rel=1e-10)
    angle = torch.arccos(1 - 2 * nodes)  # zeros of a Legendre polynomial, to O(n**-2)
    steps = angle[1:] - angle[:-1]
    assert torch.allclose(steps[5:-5], torch.full_like(steps[5:-5], np.pi / 4001.5), rtol=1e-3)


def test_midpoints_are_nested_by_threes() -> None:
    few, many = Midpoint()(7)[0], Midpoint()(21)[0]
    assert torch.allclose(many[1::3], few, atol=1e-15)


def test_riemann_ends() -> None:
    assert LeftRiemann()(4)[0].tolist() == [0, 0.25, 0.5, 0.75]
    assert RightRiemann()(4)[0].tolist() == [0.25, 0.5, 0.75, 1]
    assert Trapezoid()(3)[0].tolist() == [0, 0.5, 1]
    assert Trapezoid()(3)[1].tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize("rule", EXAMPLES, ids=lambda rule: type(rule).__name__)
def test_too_few_points_are_refused(rule: Rule) -> None:
    with pytest.raises(ValueError, match=rf"needs at least {rule.minimum} point.*got n=0"):
        rule(0)


def test_the_trapezoid_needs_two_points() -> None:
    with pytest.raises(ValueError, match=r"Trapezoid needs at least 2 .* got n=1.*Midpoint"):
        LinearPath(0.0, n=1, rule="riemann_trapezoid")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("gausslegendre", GaussLegendre()),
        ("riemann_left", LeftRiemann()),
        ("riemann_middle", Midpoint()),
        ("riemann_right", RightRiemann()),
        ("riemann_trapezoid", Trapezoid()),
    ],
)
def test_ensure_takes_rules_and_captums_strings(name: str, rule: Rule) -> None:
    assert Rule.ensure(name) == rule
    assert Rule.ensure(rule) is rule


def test_an_unknown_string_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"expected a Rule or one of .*'gausslegendre'.*'simpson'"):
        Rule.ensure("simpson")

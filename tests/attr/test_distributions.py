"""Weighted points: what each distribution yields, and that all keep the contract."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Uniform

from captum_influence import Baselines, Distribution, LinearPath, Mixture, Noise, Point, Samples
from captum_influence.attr import Midpoint, StratifiedPath, WeightedPoint
from captum_influence.reports.asked import Asked, code_of
from captum_influence.testing import check_distribution

Tensors = tuple[Tensor, ...]


def _numbers(*shape: int) -> Tensor:
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape)


X = 1 + _numbers(3, 4)
Y = _numbers(3, 2, 2)
FAR = _numbers(6, 4) - 2
BOTH = (X, Y)


class Corners(Distribution):
    """A user's own, of the least that is asked."""

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        for sign in (-1.0, 1.0):
            yield WeightedPoint(0.5, tuple(x + sign for x in origin))


def _doubled(x: Tensor) -> Tensor:
    return torch.stack([x, 2 * x])


def _both_doubled(origin: Tensors) -> Tensors:
    return tuple(torch.stack([x, 2 * x]) for x in origin)


EXAMPLES: dict[str, tuple[Distribution, Any]] = {
    "point": (Point(), X),
    "point of tokens": (Point(), torch.arange(6).reshape(3, 2)),
    "point, two inputs": (Point(), BOTH),
    "path": (LinearPath(), X),
    "path from a number": (LinearPath(0.3, n=7, rule=Midpoint()), X),
    "path from one example": (LinearPath(FAR[0], n=5), X),
    "path from one example, batched": (LinearPath(FAR[:1], n=5), X),
    "path from as many": (LinearPath(FAR[:3], n=5, rule="riemann_trapezoid"), X),
    "path, two inputs": (LinearPath((FAR[0], 1.0), n=5, rule="riemann_left"), BOTH),
    "path of one point": (LinearPath(0.0, n=1), X),
    "path of one example": (LinearPath(FAR[:1], n=7), X[:1]),
    "refined path": (LinearPath(FAR[0], n="auto"), X),
    "stratified path": (StratifiedPath(FAR[0], n=4), X),
    "noise": (Noise(0.5, n=6), X),
    "noise, two inputs": (Noise(0.5, n=3, seed=7), BOTH),
    "noise from a distribution": (Noise(Uniform(-1.0, 1.0), n=4), X),
    "noise of a whole example": (Noise(MultivariateNormal(torch.zeros(4), torch.eye(4)), n=4), X),
    "baselines": (Baselines(FAR, n=6), X),
    "baselines, two inputs": (Baselines((FAR, _numbers(6, 2, 2)), n=4, seed=3), BOTH),
    "one baseline": (Baselines(FAR[:1], n=2), X),
    "samples for all": (Samples(FAR), X),
    "samples for each": (Samples(_numbers(5, 3, 4)), X),
    "samples, two inputs": (Samples((FAR, _numbers(6, 2, 2))), BOTH),
    "samples of tokens": (Samples(torch.ones(4, 2).long()), torch.arange(6).reshape(3, 2)),
    "samples from a function": (Samples(_doubled), X),
    "samples from a function, two inputs": (Samples(_both_doubled), BOTH),
    "mixture": (Mixture([(0.25, Noise(0.1, n=3)), (0.75, LinearPath(0.5, n=4))]), X),
    "mixture, anchored in part": (Mixture([(0.5, Point()), (0.5, Baselines(FAR, n=3))]), X),
    "mixture, two inputs": (Mixture([(0.5, Point()), (0.5, LinearPath((0.0, 1.0), n=2))]), BOTH),
    "mixture of mixtures": (
        Mixture([(0.5, Mixture([(0.5, Noise(n=2)), (0.5, Point())])), (0.5, LinearPath(1.0, n=2))]),
        X,
    ),
    "a user's own": (Corners(), BOTH),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_contract(name: str) -> None:
    check_distribution(*EXAMPLES[name])


def _asking(model: Any, inputs: Any, *, distribution: Distribution) -> Asked:
    return Asked.of(_asking, locals())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_printed_code_builds_the_same_again(name: str) -> None:
    distribution, origin = EXAMPLES[name]
    asked = _asking(None, None, distribution=distribution)
    # What Python can't write is called by a name.
    known: dict[str, Any] = {"noise": getattr(distribution, "noise", None)}
    known |= {"distribution": distribution, **asked.tensors}
    exec("\n".join(asked.imports), known)
    again = eval(asked.keywords["distribution"], known)
    assert _asking(None, None, distribution=again).keywords == asked.keywords
    assert type(again) is type(distribution)
    assert again.size == distribution.size
    origin = origin if isinstance(origin, tuple) else (origin,)
    for item, other in zip(again.points(origin), distribution.points(origin), strict=True):
        assert item.weight == other.weight
        assert all(map(torch.equal, item.point, other.point))
        assert all(map(torch.equal, item.anchor or (), other.anchor or ()))


def test_what_is_usual_is_not_printed() -> None:
    assert code_of(LinearPath(0.0, n=9, rule="gausslegendre")) == "LinearPath(n=9)"
    assert code_of(LinearPath(0.0, n=9, rule="riemann_middle")) == (
        "LinearPath(n=9, rule=Midpoint())"
    )
    assert code_of(LinearPath(0.5, n="auto")) == "LinearPath(0.5, n='auto')"
    parts = [(1 / 32, Noise(n=k)) for k in range(1, 33)]  # however many there are
    assert len(eval(code_of(Mixture(parts))).parts) == 32


def _points(distribution: Distribution, *origin: Tensor) -> list[WeightedPoint]:
    return list(distribution.points(origin))


def test_noise_has_the_deviation_that_was_asked_for_and_other_seeds_other_draws() -> None:
    origin = torch.zeros(20, 50, dtype=torch.float64)
    draws = torch.stack([item.point[0] for item in _points(Noise(0.3, n=50), origin)])
    assert float(draws.std()) == pytest.approx(0.3, rel=0.01)
    assert float(draws.mean()) == pytest.approx(0, abs=0.005)
    other = _points(Noise(0.3, n=50, seed=1), origin)
    assert not torch.equal(draws[0], other[0].point[0])


def test_noise_of_two_inputs_is_independent() -> None:
    item = _points(Noise(1.0, n=1), torch.zeros(2, 9), torch.zeros(2, 9))[0]
    assert not torch.equal(item.point[0], item.point[1])


def test_baselines_are_drawn_from_the_set_and_lie_on_the_path() -> None:
    for _, (point,), anchor in _points(Baselines(FAR, n=20), X):
        for row in range(3):
            assert any(torch.equal(anchor[0][row], far) for far in FAR)
            alpha = (point[row] - anchor[0][row]) / (X[row] - anchor[0][row])
            assert float(alpha.std()) < 1e-12
            assert 0 <= float(alpha[0]) <= 1


def test_baselines_and_positions_are_uniform() -> None:
    wide = torch.ones(4000, 1, dtype=torch.float64)
    _, (point,), anchor = _points(Baselines(torch.tensor([[0.0], [-1.0]]), n=1), wide)[0]
    alpha = (point - anchor[0]) / (1 - anchor[0])
    assert float(alpha.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(alpha.var()) == pytest.approx(1 / 12, rel=0.05)
    assert float(anchor[0].mean()) == pytest.approx(-0.5, abs=0.03)


def test_two_inputs_are_drawn_from_baselines_jointly() -> None:
    sets = (torch.arange(5.0)[:, None], 10 * torch.arange(5.0)[:, None])
    for _, _, anchor in _points(Baselines(sets, n=5), torch.ones(4, 1), torch.ones(4, 1)):
        assert torch.equal(anchor[1], 10 * anchor[0])


def test_a_mixture_yields_its_parts_with_their_shares_and_their_references() -> None:
    found = _points(Mixture([(0.25, Point()), (0.75, LinearPath(0.5, n=2))]), X)
    assert [item.weight for item in found] == pytest.approx([0.25, 0.375, 0.375])
    assert found[0].anchor is None
    assert torch.equal(found[1].anchor[0], torch.full_like(X, 0.5))


def test_strata_of_a_mixture_are_flat() -> None:
    inner = Mixture([(0.5, Noise(n=2)), (0.5, Point())])
    strata = Mixture([(0.4, inner), (0.6, Noise(n=3))]).strata()
    assert [share for share, _ in strata] == pytest.approx([0.2, 0.2, 0.6])


def test_sizes() -> None:
    assert Mixture([(0.5, Noise(n=3)), (0.5, Point())]).size == 4
    assert Mixture([(0.5, Noise(n=3)), (0.5, Samples(_doubled))]).size is None
    assert Corners().size is None


def test_whole_numbers_of_other_libraries_count() -> None:
    numpy = pytest.importorskip("numpy")
    assert LinearPath(0.0, n=numpy.int64(3)).size == 3


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "many"])
@pytest.mark.parametrize(
    "make", [lambda n: LinearPath(0, n=n), lambda n: Noise(1, n=n), lambda n: Baselines(FAR, n=n)]
)
def test_a_bad_number_of_points_is_refused(make: Any, n: Any) -> None:
    with pytest.raises(ValueError, match="expected a positive number of points, got n="):
        make(n)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noise(0.0), "positive standard deviation, got 0"),
        (lambda: Noise(float("nan")), "positive standard deviation"),
        (lambda: Baselines(FAR[:0]), "non-empty set"),
        (lambda: Baselines((FAR, FAR[:2])), "the same size for each input"),
        (lambda: Mixture([]), "sum to one"),
        (lambda: Mixture([(0.5, Point())]), "sum to one"),
        (lambda: Mixture([(1.5, Point()), (-0.5, Noise())]), "non-negative"),
    ],
)
def test_a_bad_distribution_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noise("much"), "standard deviation or a torch.distributions.Distribution.*str"),
        (lambda: Baselines(3.0), "baselines as a tensor"),
        (lambda: Mixture([(1.0, 3)]), r"list of \(share, Distribution\) pairs"),
    ],
)
def test_a_wrong_type_is_refused(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (
            LinearPath(FAR, n=2),
            r"baseline of shape \(3, 4\) or \(1, ...\), got \(6, 4\).*Baselines",
        ),
        (LinearPath((0.0, 1.0), n=2), "one baseline for each of 1 inputs, got 2"),
        (Baselines(FAR[:, :2], n=2), r"\('set size', 4\).*got \[\(6, 2\)\]"),
        (Samples(FAR[:, :2]), r"samples of shape \(points, 4\).*3 examples.*got \(6, 2\)"),
        (Noise(MultivariateNormal(torch.zeros(3), torch.eye(3)), n=1), r"noise has shape \(3, 3\)"),
        (Samples(FAR[:0]), "at least 1"),
    ],
)
def test_what_does_not_fit_the_origin_is_refused(distribution: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _points(distribution, X)


def test_one_baseline_tensor_for_two_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="one baseline for each of 2 inputs, got 1; pass a tuple"):
        _points(LinearPath(X, n=2), X, X)


def test_samples_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(TypeError, match="for each of 2 input"):
        _points(Samples(FAR), X, X)


@pytest.mark.parametrize("distribution", [LinearPath(0, n=2), Noise(1.0, n=2)])
def test_no_points_lie_between_tokens(distribution: Distribution) -> None:
    with pytest.raises(TypeError, match=r"int64 don't exist: set sample_at="):
        _points(distribution, torch.arange(4).reshape(2, 2))


def test_no_points_lie_between_tokens_and_baselines() -> None:
    tokens = torch.arange(4).reshape(2, 2)
    with pytest.raises(TypeError, match=r"int64 don't exist: set sample_at="):
        _points(Baselines(tokens, n=2), tokens)

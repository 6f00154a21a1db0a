"""The axioms of Leino et al. (2018), in float64 to 1e-12, on networks whose answers are known."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    Function,
    LinearPath,
    Mixture,
    Noise,
    Point,
    PredictedClass,
    Samples,
    Unit,
)
from captum_influence.testing import bilinear_model, gru_model, linear_model, relu_model

X = torch.sin(torch.arange(15, dtype=torch.float64)).reshape(5, 3)
FAR = torch.cos(torch.arange(15, dtype=torch.float64)).reshape(5, 3)
DISTRIBUTIONS = {
    "point": Point(),
    "path": LinearPath(0.0, n=7),
    "path, trapezoid": LinearPath(FAR, n=6, rule="riemann_trapezoid"),
    "noise": Noise(0.7, n=5),
    "baselines": Baselines(FAR, n=5),
    "samples": Samples(FAR),
    "mixture": Mixture([(0.3, Noise(0.1, n=2)), (0.7, LinearPath(FAR[0], n=3))]),
}
TOLERANCE = 1e-12


def _same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).detach().abs().max()) < TOLERANCE


def _smooth() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 6), nn.GELU(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2)
    ).double()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_linear_agreement_at_the_slice_and_at_the_input(name: str) -> None:
    known = linear_model()
    first, last = known.model
    cuts = [Cut("0"), Cut("0", "input")]
    influence = DistributionalInfluence(known.model, cuts, distribution=DISTRIBUTIONS[name])
    slice_, inputs = influence.attribute(X, target=1)
    _same(slice_, last.weight[1].expand(5, -1))
    _same(inputs, (last.weight[1] @ first.weight).expand(5, -1))


class _Agreeing(nn.Module):
    """Two networks that agree where the first input is positive, and nowhere else."""

    def __init__(self, other: bool) -> None:
        super().__init__()
        self.units, self.other = nn.Identity(), other

    def forward(self, x: Tensor) -> Tensor:
        z = self.units(x)
        elsewhere = z.prod(dim=1).sin() if self.other else 3 * z.sum(dim=1)
        return torch.where(x[:, 0] > 0, (z**3).sum(dim=1), elsewhere)


def test_distributional_marginality() -> None:
    inside = Samples(X.abs() + 0.1)
    one, other = (
        DistributionalInfluence(_Agreeing(o), "units", distribution=inside).attribute(X)
        for o in (False, True)
    )
    _same(one, other)
    _same(one, (3 * (X.abs() + 0.1) ** 2).mean(dim=0).expand(5, -1))
    outside = Samples(-X.abs() - 0.1)
    one, other = (
        DistributionalInfluence(_Agreeing(o), "units", distribution=outside).attribute(X)
        for o in (False, True)
    )
    assert float((one - other).abs().max()) > 0.1


@pytest.mark.parametrize("multiply", [False, True])
def test_distribution_linearity(multiply: bool) -> None:
    model = _smooth()
    shares = [0.1, 0.2, 0.3, 0.4]
    parts = [Point(), LinearPath(FAR, n=4), Noise(0.5, n=3), Baselines(FAR, n=3)]

    def influence(distribution: Distribution, **more: Any) -> Any:
        return DistributionalInfluence(
            model, "1", distribution=distribution, multiply_by_inputs=multiply
        ).attribute(X, target=1, **more)

    expected = sum(s * influence(part) for s, part in zip(shares, parts, strict=True))
    mixture = Mixture(list(zip(shares, parts, strict=True)))
    _same(influence(mixture), expected)
    _same(influence(Mixture([(1.0, mixture)]), internal_batch_size=3), expected)
    _same(influence(mixture, return_standard_error=True)[0], expected)


def test_slice_invariance() -> None:
    """Networks that compute the same units otherwise, and depend on them equally, agree."""
    model = _smooth()
    torch.manual_seed(1)
    turn = torch.linalg.qr(torch.randn(6, 6).double()).Q
    before, inside = nn.Linear(3, 6).double(), nn.Linear(6, 6).double()
    with torch.no_grad():
        before.weight.copy_(turn @ model[0].weight)
        before.bias.copy_(turn @ model[0].bias)
        inside.weight.copy_(turn.T)
        inside.bias.zero_()
    other = nn.Sequential(before, inside, *model[1:])
    for distribution in DISTRIBUTIONS.values():
        one, two = (
            DistributionalInfluence(m, m[number], distribution=distribution).attribute(X, target=0)
            for m, number in ((model, 2), (other, 3))
        )
        _same(one, two)


def test_preprocessing() -> None:
    """The influence of a computed unit is its input influence, were it an input."""
    model = _smooth()
    rest = model[2:]
    for points in ([X, FAR], [X]):
        inner = DistributionalInfluence(model, "1", distribution=Samples(torch.stack(points)))
        computed = torch.stack([model[:2](p).detach() for p in points])
        as_input = DistributionalInfluence(
            rest, Cut(rest[0], "input"), distribution=Samples(computed)
        ).attribute(computed[0], target=1)
        _same(inner.attribute(X, target=1), as_input)


@pytest.mark.parametrize("where", ["0", "2", "3"])
def test_completeness_of_displacements(where: str) -> None:
    model = _smooth()
    influence = DistributionalInfluence(
        model, where, distribution=LinearPath(0.2, n=60), sample_at=where, multiply_by_inputs=True
    )
    found, delta = influence.attribute(X, target=1, return_convergence_delta=True)
    onward = model[int(where) + 1 :]
    with torch.no_grad():
        z = model[: int(where) + 1](X)
        change = (onward(z) - onward(torch.full_like(z, 0.2)))[:, 1]
    _same(found.sum(dim=1), change)
    _same(delta, torch.zeros(5).double())


def test_completeness_of_displacements_in_the_layer_of_a_path_at_the_input() -> None:
    known = linear_model()
    influence = DistributionalInfluence(
        known.model, "0", distribution=LinearPath(FAR), multiply_by_inputs=True
    )
    found, delta = influence.attribute(X, target=1, return_convergence_delta=True)
    _same(found.sum(dim=1), (known.model(X) - known.model(FAR))[:, 1].detach())
    _same(delta, torch.zeros(5).double())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("multiply", [False, True])
def test_batching_changes_nothing(name: str, multiply: bool) -> None:
    influence = DistributionalInfluence(
        _smooth(), ["0", "3"], distribution=DISTRIBUTIONS[name], multiply_by_inputs=multiply
    )
    expected = influence.attribute(X, target=[0, 1, 1, 0, 1])
    for rows in (1, 2, 3, 7, 1000):
        found = influence.attribute(X, target=[0, 1, 1, 0, 1], internal_batch_size=rows)
        for one, other in zip(found, expected, strict=True):
            _same(one, other)


# Networks with known answers ----------------------------------------------------------------------


@pytest.mark.parametrize("side", [X, FAR])
def test_a_relu_network_on_the_path(side: Tensor) -> None:
    """The rule's error is bounded by its widest gap, for each unit crosses zero once at most."""
    known = relu_model()
    n = 4000
    path = LinearPath(side.flip(0), n=n, rule="riemann_middle")
    found = DistributionalInfluence(known.model, "0", distribution=path).attribute(side, target=1)
    exact = known.on_path((side,), (side.flip(0),), 1)
    bound = float(known.model[2].weight.detach().abs().max()) / n
    assert float((found - exact).abs().max()) <= bound
    assert 0 < float(exact.count_nonzero()) < exact.numel()


def test_two_inputs_on_the_path() -> None:
    known = bilinear_model()
    start = tuple(x.flip(0) for x in known.inputs)
    for method in ("gausslegendre", "riemann_middle"):
        found = DistributionalInfluence(known.model, known.layer).attribute(
            known.inputs, start, 1, n_steps=3, method=method
        )
        _same(found, known.on_path(known.inputs, start, 1))


def test_a_recurrent_network_by_time_step() -> None:
    known = gru_model()
    for step in (0, 3):
        exact = known.on_path(known.inputs, known.inputs, (step, 1))
        by_target = DistributionalInfluence(known.model, known.layer)
        _same(by_target.attribute(known.inputs, target=(step, 1)), exact)
        by_function = DistributionalInfluence(
            known.model, known.layer, quantity=Function(lambda scores, t=step: scores[:, t, 1])
        )
        _same(by_function.attribute(known.inputs), exact)


def test_a_time_step_is_influenced_by_the_past_only() -> None:
    known = gru_model()
    steps = [Function(lambda scores, t=t: scores[:, t, 0]) for t in range(5)]
    found = DistributionalInfluence(
        known.model, Cut("gru", "input"), distribution=Point(), quantity=steps
    ).attribute(known.inputs)
    seen = found.abs().sum(dim=3) > 1e-9
    for t in range(5):
        assert bool(seen[t, :, : t + 1].all())
        assert not bool(seen[t, :, t + 1 :].any())


# TruLens' behaviours ------------------------------------------------------------------------------


def test_the_maximum_class_is_that_of_the_instance_all_along_the_path() -> None:
    model = _smooth()
    predicted = model(X).argmax(dim=1)
    start = -4 * X
    assert not torch.equal(model(start).argmax(dim=1), predicted)
    path = LinearPath(start, n=9)
    ours = DistributionalInfluence(model, "1", distribution=path, quantity=PredictedClass())
    fixed = DistributionalInfluence(model, "1", distribution=path)
    for rows in (None, 2):
        found = ours.attribute(X, internal_batch_size=rows)
        _same(found, fixed.attribute(X, target=predicted))


@pytest.mark.parametrize("layer", [Cut("right"), Cut("left", "input"), Cut("scores", "input")])
def test_anchors_of_a_network_with_two_inputs(layer: Cut) -> None:
    known = bilinear_model()
    x, y = known.inputs
    model: Any = known.model
    left, right = model.left(x).detach(), model.right(y).detach()
    expected: dict[str, Callable[[], Tensor]] = {
        "right": lambda: model.scores.weight[1] * left,
        "left": lambda: (model.scores.weight[1] * right) @ model.left.weight,
        "scores": lambda: model.scores.weight[1].expand(5, -1),
    }
    found = DistributionalInfluence(model, layer, distribution=Point()).attribute((x, y), target=1)
    _same(found, expected[str(layer.module)]().detach())


def test_a_unit_inside_as_the_quantity_of_interest() -> None:
    model = _smooth()
    influence = DistributionalInfluence(
        model, Cut("0", "input"), distribution=Point(), quantity=Unit(2), measure_at="0"
    )
    _same(influence.attribute(X), model[0].weight[2].expand(5, -1).detach())


def test_quantities_are_linear() -> None:
    model = _smooth()
    quantities = [ClassScore(0), ClassScore(1), 2 * ClassScore(0) - ClassScore(1) / 4]
    a, b, c = DistributionalInfluence(model, "1", quantity=quantities).attribute(X)
    _same(c, 2 * a - b / 4)

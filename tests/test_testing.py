"""The checks pass what keeps its promises, and say which one a broken thing breaks."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from captum.attr import InternalInfluence, LayerGradientXActivation
from torch import Tensor, nn

from captum_influence import Distribution, DistributionalInfluence, Noise, Point, Quantity
from captum_influence.attr import WeightedPoint
from captum_influence.testing import (
    AnalyticModel,
    bilinear_model,
    check_attribution,
    check_distribution,
    check_quantity,
    gru_model,
    linear_model,
    relu_model,
)

Tensors = tuple[Tensor, ...]


class Yielding(Distribution):
    """Yields whatever it is told to."""

    def __init__(self, *points: Any, **attributes: Any) -> None:
        self.made = points
        for name, value in attributes.items():
            setattr(self, name, value)

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        for make in self.made:
            yield make(origin)


def _half(origin: Tensors) -> Any:
    return WeightedPoint(0.5, origin)


def _drawn(origin: Tensors) -> Any:
    return WeightedPoint(1.0, tuple(torch.randn_like(x) for x in origin))


class Reseeding(Distribution):
    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        torch.manual_seed(0)
        yield _drawn(origin)


class Forgetful(Point):
    def blocks(self, origin: Tensors, rows: int) -> Any:
        return list(super().blocks(origin, rows))[:1]


class Oversized(Point):
    def blocks(self, origin: Tensors, rows: int) -> Any:
        return super().blocks(origin, 10 * rows)


class Claiming(Point):
    size = 3  # type: ignore[assignment]


class Unfair(Point):
    def strata(self) -> Any:
        return ((0.5, self),)


class Counting(Distribution):
    """Yields other points each time, without any random state."""

    count = 0

    def points(self, origin: Tensors) -> Iterator[WeightedPoint]:
        self.count += 1
        yield WeightedPoint(1.0, tuple(x + self.count for x in origin))


def _in_place(origin: Tensors) -> Any:
    return WeightedPoint(1.0, tuple(x.add_(0.0).mul_(2) for x in origin))


BROKEN_DISTRIBUTIONS = {
    "nothing": (Yielding(), "yielded nothing"),
    "half": (Yielding(_half), r"weights sum to 0\.5, expected 1"),
    "another shape": (
        Yielding(lambda o: WeightedPoint(1.0, (o[0][:1],))),
        r"point 0 is torch\.float64 of shape \(1, 4\).*expected that of the origin.*\(3, 4\)",
    ),
    "another dtype": (Yielding(lambda o: (1.0, (o[0].int(),))), "point 0 is torch.int32"),
    "float32 becomes float64": (Yielding(lambda o: (1.0, (o[0].double(),))), "torch.float64"),
    "one of two": (Yielding(lambda o: (1.0, (o[0], o[0]))), "has 2 tensors for 1 inputs"),
    "a bare tensor": (Yielding(lambda o: (1.0, o[0])), "point 0 is a Tensor, expected a tuple"),
    "global random state": (Yielding(_drawn), "moved the global random state"),
    "reseeding": (Reseeding(), "moved the global random state"),
    "other points": (Counting(), "differ from one call of points"),
    "the origin": (Yielding(_in_place), "changed a tensor that it was given, in place"),
    "unequal draws": (
        Yielding(lambda o: (0.7, o), lambda o: (0.3, o), is_random=True),
        "is_random, but the weights are not equal",
    ),
    "hidden anchors": (Yielding(lambda o: (1.0, o, o)), "points have anchors: set is_anchored"),
    "size": (Claiming(), "size says 3, but there are 1 points"),
    "lost rows": (Forgetful(), r"blocks\(rows=1\) hold 1 pairs, points\(\) has 3"),
    "large blocks": (Oversized(), r"blocks\(rows=1\) yielded a block of 3 rows"),
    "unfair strata": (Unfair(), r"shares of strata\(\) sum to 0\.5"),
}


@pytest.mark.parametrize("name", BROKEN_DISTRIBUTIONS)
def test_a_broken_distribution(name: str) -> None:
    distribution, message = BROKEN_DISTRIBUTIONS[name]
    with pytest.raises(AssertionError, match=message):
        check_distribution(distribution, picklable=False)


def test_a_lambda_cannot_be_pickled() -> None:
    whole = Yielding(lambda origin: WeightedPoint(1.0, origin))
    with pytest.raises(AssertionError, match=r"can't be pickled.*picklable=False"):
        check_distribution(whole)


def test_a_class_that_nothing_can_look_up_need_not_pickle() -> None:
    class Local(Point):
        pass

    check_distribution(Local())


class Read(Quantity):
    """Returns whatever it is told to."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, output: Any) -> Tensor:
        return self.function(output)


class Numbered(Quantity):
    """Holds a number per example, and forgets to hand it out."""

    examples = 4

    def __call__(self, output: Tensor) -> Tensor:
        return output[:, 0] * torch.arange(1.0, 5.0)[: len(output)]


class Unresolved(Quantity):
    def resolve(self, reference: Any) -> Any:
        return reference

    def __call__(self, output: Tensor) -> Tensor:
        return output[:, 0]


BROKEN_QUANTITIES = {
    "everything": (Read(lambda s: s), r"returned shape \(4, 10\), expected one per row: \(4,\)"),
    "a batch mean": (Read(lambda s: s.mean(dim=(0, 1))), r"returned shape \(\)"),
    "a number": (Read(lambda s: 3.0), "returned a float, not a tensor"),
    "an index": (Read(lambda s: s.argmax(dim=1)), "returned torch.int64, which has no gradient"),
    "detached": (Read(lambda s: s[:, 0].detach()), "not differentiable"),
    "normalised over the batch": (Read(lambda s: s[:, 0] - s[:, 0].mean()), "have other values"),
    "reversed": (Read(lambda s: s[:, 0].flip(0)), "have other values"),
    "a hidden path to others": (
        Read(lambda s: s[:, 0] + (s - s.detach()).sum()), "depends on other rows"
    ),
    "in place": (Read(lambda s: s.mul_(2)[:, 0]), "changed a tensor that it was given"),
    "random": (Read(lambda s: s[:, 0] * torch.rand(())), "moved the global random state"),
    "infinite slope": (Read(lambda s: (0 * s[:, 0]).sqrt()), "gradient is not finite"),
    "rows not handed out": (Numbered(), "rows.. must pick what belongs to it"),
    "resolved to something else": (Unresolved(), r"resolve\(\) returned a Tensor"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_QUANTITIES)
def test_a_broken_quantity(name: str) -> None:
    quantity, message = BROKEN_QUANTITIES[name]
    with pytest.raises(AssertionError, match=message):
        check_quantity(quantity, picklable=False)


# Attributions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "factory",
    [
        DistributionalInfluence,
        lambda m, z: DistributionalInfluence(m, z, distribution=Noise(0.1, n=3)),
        lambda m, z: DistributionalInfluence(m, z, distribution=Point(), multiply_by_inputs=True),
        lambda m, z: LayerGradientXActivation(m, m.get_submodule(z)),
    ],
)
def test_attributions_that_keep_their_promises(factory: Any) -> None:
    if factory is DistributionalInfluence:
        factory = lambda m, z: DistributionalInfluence(m, z)  # noqa: E731
    check_attribution(factory)


class Broken(DistributionalInfluence):
    """Does something wrong on the side."""

    def __init__(self, wrong: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.wrong = wrong

    def attribute(self, inputs: Any, **arguments: Any) -> Any:  # type: ignore[override]
        found = super().attribute(inputs, **arguments)
        changed = self.wrong(self, inputs, found, arguments)
        return found if changed is None else changed


def _leaves_a_hook(self: Any, *_: Any) -> None:
    self.forward_func.register_forward_hook(lambda *_: None)


def _trains(self: Any, *_: Any) -> None:
    self.forward_func[0].train()


def _freezes(self: Any, *_: Any) -> None:
    self.forward_func[0].weight.requires_grad_(False)


def _accumulates(self: Any, inputs: Any, *_: Any) -> None:
    self.forward_func(*inputs).sum().backward()


def _shifts(self: Any, inputs: Any, *_: Any) -> None:
    inputs[0].add_(1)


def _draws(*_: Any) -> None:
    torch.rand(1)


def _scales(self: Any, inputs: Any, found: Tensor, *_: Any) -> Tensor:
    return 2 * found


BROKEN_ATTRIBUTIONS = {
    "hooks": (_leaves_a_hook, "left hooks of the network changed"),
    "mode": (_trains, r"left the mode \(train or eval\) of the network changed"),
    "requires_grad": (_freezes, "left requires_grad of the network changed"),
    "gradients": (_accumulates, "left the gradients of the network changed"),
    "inputs": (_shifts, "changed a tensor that it was given, in place"),
    "random state": (_draws, "moved the global random state"),
    "shape": (lambda s, i, found, _: found[:, :2], r"attributions have shapes \[\(5, 2\)\]"),
    "NaN": (lambda s, i, found, _: found * torch.nan, "hold NaN"),
    "scale": (_scales, r"on a linear network \(linear agreement\), it returns something else"),
}


@pytest.mark.parametrize("name", BROKEN_ATTRIBUTIONS)
def test_a_broken_attribution(name: str) -> None:
    wrong, message = BROKEN_ATTRIBUTIONS[name]
    with pytest.raises(AssertionError, match=message):
        check_attribution(lambda model, layer: Broken(wrong, model, layer))


def test_an_attribution_that_depends_on_the_batching() -> None:
    class Batched(DistributionalInfluence):
        def attribute(self, inputs: Any, *, internal_batch_size: int = 5, **more: Any) -> Any:  # type: ignore[override]
            return super().attribute(inputs, **more) * internal_batch_size

    known = linear_model()
    with pytest.raises(AssertionError, match="with internal_batch_size=1, it returns something"):
        check_attribution(Batched(known.model, "0"), known.inputs, target=1)


def test_captums_own_on_layers_that_run_once() -> None:
    known = linear_model()
    theirs = InternalInfluence(known.model, known.model[0])
    exact = known.on_path(known.inputs, known.inputs, 1)
    assert torch.allclose(theirs.attribute(known.inputs[0], target=1), exact, atol=1e-6)


def test_an_attribution_needs_inputs() -> None:
    with pytest.raises(TypeError, match="needs inputs"):
        check_attribution(DistributionalInfluence(nn.Linear(3, 2), ""))


# The networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [linear_model, relu_model, bilinear_model, gru_model])
def test_the_closed_forms_against_a_fine_path(make: Any) -> None:
    """By central differences of what follows the layer, at 500 midpoints."""
    known: AnalyticModel = make()
    target: Any = (2, 1) if make is gru_model else 1
    start = tuple(0.5 * x.flip(0) - 0.1 for x in known.inputs)
    n, step = (500 if make is relu_model else 20), 1e-6
    total: Any = 0.0
    with torch.no_grad():
        for k in range(n):
            points = tuple(
                b + (k + 0.5) / n * (x - b) for x, b in zip(known.inputs, start, strict=True)
            )
            total = total + _differences(known, points, target, step) / n
    exact = known.on_path(known.inputs, start, target)
    assert torch.allclose(total, exact, atol=5e-3 if make is relu_model else 1e-7)


def _differences(known: AnalyticModel, points: Tensors, target: Any, step: float) -> Tensor:
    """Shift one unit at a time, through a hook."""
    layer = known.model.get_submodule(known.layer)
    seen: list[Tensor] = []
    shift: Any = 0.0
    handle = layer.register_forward_hook(
        lambda module, args, out: seen.append(out.clone()) or out + shift
    )
    try:
        known.model(*points)
        slopes = torch.zeros(seen[0].shape, dtype=torch.float64)
        for unit in range(slopes[0].numel()):
            values = []
            for sign in (1, -1):
                flat = torch.zeros(slopes[0].numel(), dtype=torch.float64)
                flat[unit] = sign * step
                shift = flat.reshape(slopes[0].shape)
                scores = known.model(*points)
                entry = target if isinstance(target, tuple) else (target,)
                values.append(scores[(slice(None), *entry)])
            slopes.reshape(len(slopes), -1)[:, unit] = (values[0] - values[1]) / (2 * step)
    finally:
        handle.remove()
    return slopes


@pytest.mark.parametrize("make", [linear_model, relu_model, bilinear_model, gru_model])
def test_the_networks_are_the_same_each_time(make: Any) -> None:
    one, other = make(), make()
    torch.manual_seed(1)
    third = make()
    for network in (other, third, copy.deepcopy(one)):
        for a, b in zip(one.model.parameters(), network.model.parameters(), strict=True):
            assert torch.equal(a, b)

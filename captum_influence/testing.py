"""Contract checks for distributions, quantities and attributions, and tiny networks with answers.

Each check is one call and raises AssertionError with what was violated.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from captum.attr import LayerAttribution
from torch import Tensor
from torch.nn import Module

from captum_influence.attr import Cut, Distribution, Quantity, Slice, WeightedPoint

__all__ = [
    "AnalyticModel",
    "bilinear_model",
    "check_attribution",
    "check_distribution",
    "check_quantity",
    "gru_model",
    "linear_model",
    "relu_model",
]

Tensors = tuple[Tensor, ...]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


# Distributions ------------------------------------------------------------------------------------


def check_distribution(
    distribution: Distribution,
    origin: Tensor | Tensors | None = None,
    *,
    rows: Sequence[int] = (1, 2, 5, 1000),
    picklable: bool = True,
) -> None:
    """Check what :class:`Distribution` promises.

    The points are the same each time, shaped like the origin, of its dtype and on its device;
    their weights sum to one; blocks of any size hold the same pairs; the random state and the
    origin are left as they were; copies and pickles yield the same points.

    Args:
        distribution: the one to check.
        origin: instances to put the points around; None: three of four float64 numbers.
        rows: the block sizes to try.
        picklable: whether to check pickling too (turn it off for lambdas).

    Raises:
        AssertionError: saying what was violated.

    Example:
        >>> from captum_influence import Noise
        >>> check_distribution(Noise(0.1, n=3))
    """
    origin = (_numbers(3, 4),) if origin is None else origin
    origin = origin if isinstance(origin, tuple) else (origin,)
    found = _quietly(lambda: _points(distribution, origin), origin, "points()")
    _check_points(found, distribution, origin)
    _check_again(distribution, origin, found)
    for count in rows:
        _check_blocks(distribution, origin, found, count)
    _check_strata(distribution)
    _check_reference(distribution, origin)
    _check_precision(distribution, origin)
    for name, other in _copies(distribution, picklable):
        _require(_same(_points(other, origin), found), f"{name} yields other points")


def _points(distribution: Distribution, origin: Tensors) -> list[WeightedPoint]:
    return [WeightedPoint(*item) for item in distribution.points(origin)]


def _check_points(found: list[WeightedPoint], distribution: Distribution, origin: Tensors) -> None:
    _require(len(found) > 0, "points() yielded nothing")
    for number, item in enumerate(found):
        _check_like(item.point, origin, f"point {number}")
        if item.anchor is not None:
            _check_like(item.anchor, origin, f"the anchor of point {number}")
    weights = [float(item.weight) for item in found]
    _require(abs(sum(weights) - 1) < 1e-6, f"the weights sum to {sum(weights)}, expected 1")
    equal = max(weights) - min(weights) < 1e-9
    _require(equal or not distribution.is_random, "is_random, but the weights are not equal")
    anchored = any(item.anchor is not None for item in found)
    _require(distribution.is_anchored or not anchored, "points have anchors: set is_anchored")
    size = distribution.size
    _require(size in (None, len(found)), f"size says {size}, but there are {len(found)} points")


def _check_like(tensors: Tensors, origin: Tensors, name: str) -> None:
    _require(isinstance(tensors, tuple), f"{name} is a {type(tensors).__name__}, expected a tuple")
    _require(
        len(tensors) == len(origin), f"{name} has {len(tensors)} tensors for {len(origin)} inputs"
    )
    for tensor, x in zip(tensors, origin, strict=True):
        came, expected = (_kind(t) for t in (tensor, x))
        _require(came == expected, f"{name} is {came}, expected that of the origin: {expected}")


def _kind(x: Tensor) -> str:
    return f"{x.dtype} of shape {tuple(x.shape)} on {x.device}"


def _check_again(
    distribution: Distribution, origin: Tensors, found: Sequence[WeightedPoint]
) -> None:
    for seed in (1, 2):
        with _preserved():
            _seed(seed)
            again = _points(distribution, origin)
        _require(
            _same(again, found),
            "the points differ from one call of points() to the next: draw them from a "
            "torch.Generator that is seeded inside points()",
        )


def _same(left: Sequence[WeightedPoint], right: Sequence[WeightedPoint]) -> bool:
    if len(left) != len(right):
        return False
    return all(
        a.weight == b.weight and _equal(a.point, b.point) and _equal(a.anchor, b.anchor)
        for a, b in zip(left, right, strict=True)
    )


def _equal(left: Tensors | None, right: Tensors | None) -> bool:
    if left is None or right is None:
        return left is right
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def _check_blocks(
    distribution: Distribution, origin: Tensors, found: Sequence[WeightedPoint], rows: int
) -> None:
    seen: set[tuple[int, int]] = set()
    where = f"blocks(rows={rows})"
    for block in distribution.blocks(origin, rows):
        _require(0 < len(block) <= rows, f"{where} yielded a block of {len(block)} rows")
        pairs = list(zip(block.numbers.tolist(), block.examples.tolist(), strict=True))
        for row, (number, example) in enumerate(pairs):
            _require((number, example) not in seen, f"{where} repeat a pair: {(number, example)}")
            _require(number < len(found), f"{where} hold points that points() doesn't")
            _check_row(block, row, found[number], example, where)
        seen.update(pairs)
    expected = len(found) * len(origin[0])
    _require(len(seen) == expected, f"{where} hold {len(seen)} pairs, points() has {expected}")


def _check_row(block: Any, row: int, item: WeightedPoint, example: int, where: str) -> None:
    _require(
        abs(float(block.weights[row]) - item.weight) < 1e-9,
        f"{where} give a point another weight than points()",
    )
    _require(
        (block.anchors is None) == (item.anchor is None), f"{where} and points() differ in anchors"
    )
    rows = tuple(t[row] for t in (*block.points, *(block.anchors or ())))
    ours = tuple(t[example] for t in (*item.point, *(item.anchor or ())))
    for came, expected in zip(rows, ours, strict=True):
        _require(_close(came, expected, 1e-5), f"{where} hold other points than points()")


def _close(left: Tensor, right: Tensor, tolerance: float) -> bool:
    return left.shape == right.shape and torch.allclose(
        left.double(), right.double(), rtol=tolerance, atol=tolerance
    )


def _check_strata(distribution: Distribution) -> None:
    shares = [share for share, _ in distribution.strata()]
    _require(abs(sum(shares) - 1) < 1e-6, f"the shares of strata() sum to {sum(shares)}, not 1")
    parts = [part for _, part in distribution.strata()]
    _require(
        all(isinstance(part, Distribution) for part in parts), "strata() holds no Distributions"
    )


def _check_reference(distribution: Distribution, origin: Tensors) -> None:
    reference = distribution.reference(origin)
    if reference is not None:
        _check_like(reference, origin, "reference()")


def _check_precision(distribution: Distribution, origin: Tensors) -> None:
    """Check that a float32 origin has float32 points."""
    if all(x.is_floating_point() for x in origin):
        single = tuple(x.float() for x in origin)
        _check_points(_points(distribution, single), distribution, single)


# Quantities ---------------------------------------------------------------------------------------


def check_quantity(quantity: Quantity, output: Any = None, *, picklable: bool = True) -> None:
    """Check what :class:`Quantity` promises.

    It returns one number per row, shape (rows,); a row's value depends on that row only and is
    the same in any block; it is differentiable; resolved, it stays as it is; it adds, subtracts
    and scales; output and random state are left as they were; copies and pickles agree.

    Args:
        quantity: the one to check.
        output: what the network returns at ``measure_at``: a tensor (rows, ...), or a structure
            of these; None: ten scores for each of four examples, or as many as it has targets for.
        picklable: whether to check pickling too (turn it off for lambdas).

    Raises:
        AssertionError: saying what was violated.

    Example:
        >>> from captum_influence import ClassScore
        >>> check_quantity(ClassScore(3) - ClassScore(5))
    """
    output = _numbers(quantity.examples or 4, 10) if output is None else output
    tensors = _tensors_of(output)
    count = len(tensors[0]) if quantity.examples is None else quantity.examples
    fixed = quantity.resolve(output)
    _require(isinstance(fixed, Quantity), f"resolve() returned a {type(fixed).__name__}")
    values = _quietly(lambda: _valued(fixed, output, count), tensors, "the quantity")
    _check_values(values, count)
    _check_resolved(fixed, output, values)
    _check_picks(fixed, output, values)
    _check_gradient(fixed, output, count)
    _check_arithmetic(fixed, output, values)
    for name, other in _copies(quantity, picklable):
        again = _valued(other.resolve(output), output, count)
        _require(_close(again, values, 1e-9), f"{name} returns other values")


def _valued(quantity: Quantity, output: Any, count: int) -> Tensor:
    return quantity.rows(torch.arange(count))(output)


def _check_values(values: Any, count: int) -> None:
    _require(isinstance(values, Tensor), f"it returned a {type(values).__name__}, not a tensor")
    shape = tuple(values.shape)
    _require(shape == (count,), f"it returned shape {shape}, expected one per row: ({count},)")
    _require(values.is_floating_point(), f"it returned {values.dtype}, which has no gradient")


def _check_resolved(quantity: Quantity, output: Any, values: Tensor) -> None:
    again = _valued(quantity.resolve(output), output, len(values))
    _require(_close(again, values, 1e-9), "resolved twice, it returns other values")
    _require(quantity.examples in (None, len(values)), "resolved, it holds another number of rows")


def _check_picks(quantity: Quantity, output: Any, values: Tensor) -> None:
    last = len(values) - 1
    for picks in ([last], [0, 0, last], [*range(last, -1, -1), 0]):
        examples = torch.tensor(picks)
        part = _map(partial(_rows_of, examples, last + 1), output)
        came = quantity.rows(examples)(part)
        _check_values(came, len(picks))
        _require(
            _close(came, values[examples], 1e-6),
            f"the rows of examples {picks} have other values than in the whole batch: a row's "
            "value may depend on its own output only, and rows() must pick what belongs to it",
        )


def _rows_of(examples: Tensor, count: int, tensor: Tensor) -> Tensor:
    return tensor[examples] if len(tensor) == count else tensor


def _check_gradient(quantity: Quantity, output: Any, count: int) -> None:
    leaves: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        leaves.append(tensor.detach().clone().requires_grad_())
        return leaves[-1]

    values = _valued(quantity, _map(leaf, output), count)
    _require(values.requires_grad, "it is not differentiable: its values carry no graph")
    grads = torch.autograd.grad(values[0], leaves, allow_unused=True)
    found = [grad for grad in grads if grad is not None]
    _require(all(bool(grad.isfinite().all()) for grad in found), "its gradient is not finite")
    others = [grad[1:] for grad in found if len(grad) == count]
    _require(
        not any(bool(grad.any()) for grad in others),
        "the value of the first row depends on other rows of the output",
    )


def _check_arithmetic(quantity: Quantity, output: Any, values: Tensor) -> None:
    cases = {
        "q + q": (quantity + quantity, 2 * values),
        "q - 3 * q": (quantity - 3 * quantity, -2 * values),
        "-q / 2": (-quantity / 2, -values / 2),
    }
    for name, (combined, expected) in cases.items():
        came = _valued(combined, output, len(values))
        _require(_close(came, expected, 1e-6), f"{name} has the wrong value")


# Attributions -------------------------------------------------------------------------------------


def check_attribution(
    attribution: LayerAttribution | Callable[[Module, Any], LayerAttribution],
    inputs: Tensor | Tensors | None = None,
    *,
    tolerance: float = 1e-6,
    **arguments: Any,
) -> None:
    """Check what a layer attribution promises.

    Results are shaped like the layer, the same each time and for any ``internal_batch_size``;
    hooks, modes, ``requires_grad``, gradients, inputs and random state are left as they were, also
    after an error; a deep copy agrees. A factory is tried on networks with known answers too.

    Args:
        attribution: an attribution, or a function (model, layer) -> attribution.
        inputs: what to attribute; a factory has inputs of its own.
        tolerance: how far results may differ, relative to the largest.
        arguments: further arguments of ``attribute``, e.g. ``target=1``.

    Raises:
        AssertionError: saying what was violated.

    Example:
        >>> from captum_influence import DistributionalInfluence, Noise
        >>> check_attribution(
        ...     lambda model, layer: DistributionalInfluence(
        ...         model, layer, distribution=Noise(0.1, n=4)
        ...     )
        ... )
    """
    if not isinstance(attribution, LayerAttribution):
        _check_factory(attribution, tolerance)
        return
    if inputs is None:
        raise TypeError("check_attribution needs inputs for an attribution that is not a factory")
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    network = attribution.forward_func

    def attribute(of: LayerAttribution = attribution, **more: Any) -> list[Tensor]:
        found = of.attribute(inputs, **arguments, **more)
        return [tensor.detach() for tensor in _tensors_of(found)]

    with _unchanged(network):
        found = _quietly(attribute, inputs, "attribute()")
    _check_shapes(attribution, inputs, found, arguments)
    _agree(found, attribute(), tolerance, "called a second time")
    _check_batching(attribution, attribute, found, tolerance)
    _check_failure(network, attribute)
    _agree(found, attribute(copy.deepcopy(attribution)), tolerance, "deep-copied")


def _check_factory(factory: Callable[[Module, Any], LayerAttribution], tolerance: float) -> None:
    for known in (linear_model(), relu_model()):
        check_attribution(
            factory(known.model, known.layer), known.inputs, tolerance=tolerance, target=1
        )
    known = linear_model()
    attribution = factory(known.model, known.layer)
    if not getattr(attribution, "multiplies_by_inputs", False):
        found = [t.detach() for t in _tensors_of(attribution.attribute(known.inputs, target=1))]
        exact = [known.on_path(known.inputs, known.inputs, 1)]
        _agree(exact, found, tolerance, "on a linear network (linear agreement)")


def _check_shapes(
    attribution: LayerAttribution, inputs: Tensors, found: list[Tensor], arguments: dict[str, Any]
) -> None:
    layers = attribution.layer if isinstance(attribution.layer, list) else [attribution.layer]
    side: Literal["input", "output"] = (
        "input" if arguments.get("attribute_to_layer_input") else "output"
    )
    extra = arguments.get("additional_forward_args") or ()
    slice_ = Slice(attribution.forward_func, [Cut.ensure(layer, side) for layer in layers])
    with slice_.opened():
        extra = extra if isinstance(extra, tuple) else (extra,)
        reading = slice_.read(inputs, extra, cuts=slice_.cuts)
    expected = [tuple(z.shape) for cut in reading.cuts for z in cut]
    several = isinstance(getattr(attribution, "quantity", None), (list, tuple))
    came = [tuple(t.shape[1:] if several else t.shape) for t in found]
    _require(came == expected, f"attributions have shapes {came}, the layer {expected}")
    _require(all(bool(t.isfinite().all()) for t in found), "attributions hold NaN or infinity")


def _check_batching(
    attribution: LayerAttribution,
    attribute: Callable[..., list[Tensor]],
    found: list[Tensor],
    tolerance: float,
) -> None:
    if "internal_batch_size" not in inspect.signature(attribution.attribute).parameters:
        return
    for rows in (1, 2, 7, 1000):
        again = attribute(internal_batch_size=rows)
        _agree(found, again, tolerance, f"with internal_batch_size={rows}")


def _agree(expected: Sequence[Tensor], came: Sequence[Tensor], tolerance: float, when: str) -> None:
    _require(len(expected) == len(came), f"{when}, it returns {len(came)} tensors")
    for left, right in zip(expected, came, strict=True):
        scale = float(left.abs().max()) or 1.0
        _require(
            left.shape == right.shape and _close(right / scale, left / scale, tolerance),
            f"{when}, it returns something else",
        )


class _Planted(Exception):
    """An error that a check raises in the middle of a network."""


def _check_failure(network: Any, attribute: Callable[..., list[Tensor]]) -> None:
    if not isinstance(network, Module):
        return

    def fail(*_: Any) -> None:
        raise _Planted

    with _unchanged(network), _preserved(check="attribute(), when it fails,"):
        planted = network.register_forward_hook(fail)
        try:
            attribute()
        except _Planted:
            return
        finally:
            planted.remove()
    raise AssertionError("attribute() swallowed an error of the network")


@contextmanager
def _unchanged(network: Any) -> Iterator[None]:
    before = _state(network)
    yield
    for name, value in _state(network).items():
        _require(value == before[name], f"attribute() left {name} of the network changed")


def _state(network: Any) -> dict[str, Any]:
    modules = list(network.modules()) if isinstance(network, Module) else []
    tensors = [*network.parameters(), *network.buffers()] if isinstance(network, Module) else []
    return {
        "hooks": [
            (list(m._forward_hooks), list(m._forward_pre_hooks), list(m._backward_hooks))
            for m in modules
        ],
        "the mode (train or eval)": [m.training for m in modules],
        "a method or attribute": [sorted(m.__dict__) for m in modules],
        "requires_grad": [t.requires_grad for t in tensors],
        "the gradients": [None if t.grad is None else t.grad.sum().item() for t in tensors],
        "parameters or buffers": [t._version for t in tensors],
    }


# Both ---------------------------------------------------------------------------------------------


def _quietly(call: Callable[[], Any], tensors: Sequence[Tensor], name: str) -> Any:
    """Return what a call returns, and check that it left tensors and random state alone."""
    before = [tensor.clone() for tensor in tensors]
    with _preserved(check=name):
        found = call()
    kept = all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    _require(kept, f"{name} changed a tensor that it was given, in place")
    return found


@contextmanager
def _preserved(check: str | None = None) -> Iterator[None]:
    """Restore the global random state after; with ``check``, demand that nothing moved it."""
    before, enabled = _random_state(), torch.is_grad_enabled()
    try:
        yield
    finally:
        after, still = _random_state(), torch.is_grad_enabled()
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])  # noqa: NPY002  # the legacy state is what others share
    if check is not None:
        moved = not torch.equal(before[0], after[0]) or repr(before[1:]) != repr(after[1:])
        _require(not moved, f"{check} moved the global random state: use a generator of its own")
        _require(enabled == still, f"{check} left the grad mode changed")


def _random_state() -> tuple[Tensor, Any, Any]:
    return torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def _copies(value: Any, picklable: bool) -> Iterator[tuple[str, Any]]:
    """Yield a deep copy, and what comes back from a pickle if the class can be looked up."""
    yield "a deep copy", copy.deepcopy(value)
    kind = type(value)
    known = getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind
    if not (picklable and known):
        return
    try:
        pickled = pickle.dumps(value)
    except Exception as error:  # whatever it is, it is the finding
        raise AssertionError(f"it can't be pickled ({error}): or set picklable=False") from None
    yield "a pickled copy", pickle.loads(pickled)


def _numbers(*shape: int) -> Tensor:
    """Return fixed numbers between -2 and 2 without ties or zeros, float64."""
    numbers: int = int(np.prod(shape))
    return (2.0 * torch.sin(1.7 * torch.arange(1, numbers + 1, dtype=torch.float64))).reshape(shape)


def _map(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(change, item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_map(change, item) for item in value)
    return value


def _tensors_of(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _map(lambda tensor: found.append(tensor) or tensor, value)  # type: ignore[func-returns-value]
    return found


# Networks with known answers ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class AnalyticModel:
    """A tiny float64 network whose influences are known in closed form.

    Attributes:
        model: the network, in eval mode, with fixed weights.
        layer: the name of the layer whose influence is known.
        inputs: instances to ask about.
        on_path: (inputs, baselines, target) -> the exact influence of the layer's output, the
            average over the straight path from the baselines to the inputs.
    """

    model: Module
    layer: str
    inputs: Tensors
    on_path: Callable[[Tensors, Tensors, Any], Tensor]


def linear_model() -> AnalyticModel:
    """Return a network of two linear layers: a unit's influence is its outgoing weight.

    That holds under every distribution (linear agreement).
    """
    first, last = _linear(3, 4), _linear(4, 2)

    def on_path(inputs: Tensors, baselines: Tensors, target: int) -> Tensor:
        return last.weight.detach()[target].expand(len(inputs[0]), -1)

    return AnalyticModel(torch.nn.Sequential(first, last).eval(), "0", (_numbers(5, 3),), on_path)


def relu_model() -> AnalyticModel:
    """Return a network with in-place ReLUs: outgoing weight times the share of the path it is on.

    A unit is affine along the path, so it is on for all of it, for none, or to one side of a zero.
    """
    first, last = _linear(3, 6), _linear(6, 2)

    def on_path(inputs: Tensors, baselines: Tensors, target: int) -> Tensor:
        with torch.no_grad():
            start, end = first(baselines[0]), first(inputs[0])
            crossing = start / (start - end)
            share = torch.where(end > 0, 1 - crossing, crossing)
            share = torch.where((start > 0) == (end > 0), (end > 0).double(), share)
            return share * last.weight[target]

    model = torch.nn.Sequential(first, torch.nn.ReLU(inplace=True), last).eval()
    return AnalyticModel(model, "0", (_numbers(5, 3),), on_path)


class _Bilinear(Module):
    """Scores that are linear in the product of two linear layers, one of each input."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.scores = _linear(3, 4), _linear(2, 4), _linear(4, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.left(x) * self.right(y))
        return scores


def bilinear_model() -> AnalyticModel:
    """Return a network of two inputs: a unit of the left is weighed by the right's path average.

    The integrand is linear along the path, so the average is the value in the middle of it.
    """
    model = _Bilinear().eval()

    def on_path(inputs: Tensors, baselines: Tensors, target: int) -> Tensor:
        with torch.no_grad():
            middle: Tensor = model.right((inputs[1] + baselines[1]) / 2)
            return model.scores.weight[target] * middle

    return AnalyticModel(model, "left", (_numbers(5, 3), _numbers(5, 2)), on_path)


class _ScoreEveryStep(Module):
    """A GRU and scores of what it says at each time step, (examples, steps, classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(3, 4, batch_first=True).double()
        with torch.no_grad():
            for number, parameter in enumerate(self.gru.parameters()):
                parameter.copy_(_numbers(*parameter.shape) / (2 + number))
        self.states = torch.nn.Identity()
        self.scores = _linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.states(self.gru(x)[0]))
        return scores


def gru_model() -> AnalyticModel:
    """Return a GRU that is scored at every step; a target is a pair (step, class).

    The states at that step have the influence of their outgoing weights, all others none.
    """
    model = _ScoreEveryStep().eval()

    def on_path(inputs: Tensors, baselines: Tensors, target: tuple[int, int]) -> Tensor:
        influence = torch.zeros(*inputs[0].shape[:2], 4, dtype=torch.float64)
        influence[:, target[0]] = model.scores.weight.detach()[target[1]]
        return influence

    return AnalyticModel(model, "states", (_numbers(2, 5, 3),), on_path)


def _linear(inputs: int, outputs: int) -> torch.nn.Linear:
    linear = torch.nn.Linear(inputs, outputs).double()
    with torch.no_grad():
        linear.weight.copy_(_numbers(outputs, inputs) / 2)
        linear.bias.copy_(_numbers(outputs) / 5)
    return linear

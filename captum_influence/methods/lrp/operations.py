"""A pass in which each function that follows the inputs has the slopes of its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import takewhile
from types import FunctionType
from typing import Any

from torch import Tensor
from torch.nn import Parameter
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from captum_influence.methods.lrp import functions
from captum_influence.methods.lrp.rules import Composite
from captum_influence.methods.lrp.slopes import (
    along,
    attended,
    by_ratio,
    groups_normed,
    layers_normed,
    roots_normed,
    weighed_by,
)
from captum_influence.methods.lrp.terms import follows
from captum_influence.network.cuts import mapped, tensors_in
from captum_influence.network.modes import without_graph

__all__ = ["Operations"]

_Run = Callable[[str, Any, tuple[Any, ...], dict[str, Any]], Any]
_NORMS: Mapping[str, Callable[..., Tensor]] = {
    "layer_norm": layers_normed,
    "rms_norm": roots_normed,
    "group_norm": groups_normed,
}


class Operations(TorchFunctionMode):
    """Gives each function of a pass the slopes of its rule; its values stay as they are.

    What requires a graph follows the inputs; parameters count as constants.

    Args:
        composite: the rules of linear layers and convolutions.
        parameters: the network's, by their names.
        through_softmax: whether relevance goes through softmax, too.

    Attributes:
        rules: name of a function -> its rule, in words.
        unruled: functions that there is no rule for.
        constants: what relevance ends in, each once: biases, what else is added, softmax.
    """

    def __init__(
        self, composite: Composite, parameters: Mapping[str, Tensor], *, through_softmax: bool
    ) -> None:
        super().__init__()
        self._composite, self._through_softmax = composite, through_softmax
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        self._first, self._opening = True, list[Any]()
        # What a tensor is an elementwise function of, and the version of that: in place, it may
        # become another.
        self._roots: Any = WeakTensorKeyDictionary()
        self.rules: dict[str, str] = {}
        self.unruled: dict[str, None] = {}
        self.constants: dict[str, None] = {}
        self._by_name: tuple[tuple[frozenset[str], _Run], ...] = (
            (functions.DENSE | functions.CONVOLUTIONS, self._weighted),
            (frozenset(_NORMS), self._normed),
            (functions.ELEMENTWISE | functions.POWERS, self._elementwise),
            (functions.SCALES, self._scale),
            (functions.QUOTIENTS, self._quotient),
            (functions.PRODUCTS | functions.ADDED_PRODUCTS, self._product),
            (frozenset({"softmax"}), self._softmax),
            (frozenset({"scaled_dot_product_attention"}), self._attention),
            (functions.LINEAR, self._sum),
        )

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given, name = dict(kwargs or {}), getattr(func, "__name__", str(func))
        if not self._following((args, given)):
            with without_graph():  # what is made of parameters alone follows nothing
                return func(*args, **given)
        run = next((run for names, run in self._by_name if name in names), self._open)
        roots = [self._root(tensor) for tensor in self._following((args, given))]
        result = run(name, func, args, given)
        self._grow(name, roots, result)
        return result

    def _following(self, values: Any) -> list[Tensor]:
        return [x for x in tensors_in(values) if self._follows(x)]

    def _follows(self, value: Any) -> bool:
        return follows(value) and not isinstance(value, Parameter)

    # What is an elementwise function of what: x * sigmoid(x) is one of x, not a product.

    def _root(self, tensor: Tensor) -> Tensor:
        root, version = self._roots.get(tensor, (tensor, tensor._version))
        return root if root._version == version else tensor

    def _grow(self, name: str, roots: Sequence[Tensor], result: Any) -> None:
        if name not in _LOCAL or not isinstance(result, Tensor) or result is roots[0]:
            return
        if all(root is roots[0] for root in roots) and result.shape == roots[0].shape:
            self._roots[result] = roots[0], roots[0]._version

    # Rules: how a function runs, given its name, itself and what it is given.

    def _open(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """Run a function of Python by the functions that it is written in."""
        if isinstance(func, FunctionType) and func not in self._opening:
            self._opening.append(func)
            try:
                with self:
                    return _body(func)(*args, **given)
            finally:
                self._opening.pop()
        result = func(*args, **given)
        if any(map(follows, tensors_in(result))):
            self.unruled[name] = None
        return result

    def _weighted(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        names = ("input", "mat1", "mat2") if name == "addmm" else ("input", "weight", "bias")
        values = dict(zip(names, args, strict=False)) | given
        call = partial(_called, func, names, args[3:])
        bias, x, weight = (values.get(n) for n in (names if name == "addmm" else _BIAS_FIRST))
        if not isinstance(weight, Tensor) or self._follows(weight) or not self._follows(x):
            return self._product(name, func, args, given)
        self._add(bias)
        rule = self._composite.rule_of(dense=name in functions.DENSE, first=self._first)
        self._first = False
        self.rules[name] = repr(rule)
        at = names[2] if name == "addmm" else names[1]
        result = call(values)
        return weighed_by(rule, result, lambda other: call({**values, at: other}), weight)

    def _normed(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        self.rules[name] = "its scale is held constant"
        self._add(given.get("bias", args[3] if name != "rms_norm" and len(args) > 3 else None))
        return along(_NORMS[name](*args, **given), func(*args, **given))

    def _elementwise(
        self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]
    ) -> Any:
        x, *rest = args or (given.pop("input"),)
        if self._following((rest, given)) or not isinstance(x, Tensor):
            return self._open(name, func, (x, *rest), given)
        if name in functions.POWERS and not _rises(rest, given):
            return self._scale(name, func, (x, *rest), given)
        self.rules[name] = "hands on what comes"
        own = x.detach().clone()
        value = func(own, *rest, **given)
        zero = 0.0 if name == "prelu" else func(x.new_zeros(()), *rest, **given)
        if name != "prelu" and bool(zero != 0):
            self.constants[f"{name}(0)"] = None
        found = by_ratio(x, value, zero)
        return x.copy_(found) if own._version else found  # it was done in place

    def _scale(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        self.rules[name] = "is held constant"
        return mapped(Tensor.detach, func(*args, **given))

    def _quotient(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        divisors = self._following((args[1:], given))
        if divisors:
            self.rules[name] = "the divisor is held constant"
        return _with(func, args, given, divisors, Tensor.detach)

    def _product(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        self._add(args[0] if name in functions.ADDED_PRODUCTS else None)
        factors = self._following((args[name in functions.ADDED_PRODUCTS :], given))
        if len(factors) < 2:
            return func(*args, **given)
        roots = [self._root(factor) for factor in factors]
        if name in functions.TIMES and all(root is roots[0] for root in roots):
            own = args[0].detach().clone() if isinstance(args[0], Tensor) else args[0]
            value = func(own, *args[1:], **given)
            if value.shape == roots[0].shape:
                self.rules["an activation that is written out"] = "hands on what comes"
                found = by_ratio(roots[0], value)
                return args[0].copy_(found) if value is own else found
        self.rules[name] = "half to each factor" if len(factors) == 2 else "the same to each factor"
        return _with(func, args, given, factors, lambda x: along(x / len(factors), x))

    def _softmax(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        if not self._through_softmax:
            return self._scale(name, func, args, given)
        self.rules[name] = "by its slope"
        self.constants["the constant of softmax"] = None
        return func(*args, **given)

    def _attention(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        with self:
            path = attended(*args, **given)
        return along(path, func(*args, **given))

    def _sum(self, name: str, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        if name in functions.SUMS:
            for value in args[:2]:
                self._add(value)
        return func(*args, **given)

    def _add(self, value: Any) -> None:
        """Note what is added that doesn't follow the inputs."""
        if isinstance(value, Tensor) and not self._follows(value):
            self.constants[self._names.get(id(value), "what else is added")] = None


_BIAS_FIRST = ("bias", "input", "weight")
_LOCAL = functions.ELEMENTWISE | functions.POWERS | functions.SUMS | functions.CASTS
_LOCAL |= functions.TIMES | functions.QUOTIENTS


def _called(func: Any, names: Sequence[str], rest: tuple[Any, ...], values: Any) -> Any:
    """Call a function whose first arguments have these names."""
    first = [values[name] for name in takewhile(values.__contains__, names)]
    others = {name: value for name, value in values.items() if name not in names[: len(first)]}
    return func(*first, *rest, **others)


def _with(
    func: Any,
    args: tuple[Any, ...],
    given: dict[str, Any],
    changed: Sequence[Tensor],
    change: Callable[[Tensor], Tensor],
) -> Any:
    """Call a function with some of the tensors that it is given changed."""
    chosen = {id(tensor) for tensor in changed}

    def one(tensor: Tensor) -> Tensor:
        return change(tensor) if id(tensor) in chosen else tensor

    return func(*mapped(one, list(args)), **mapped(one, given))


def _rises(rest: Sequence[Any], given: Mapping[str, Any]) -> bool:
    """Return whether a power has a positive exponent."""
    exponent = rest[0] if rest else given.get("exponent")
    return isinstance(exponent, int | float) and exponent > 0


@cache
def _body(func: FunctionType) -> FunctionType:
    """Return a function of torch without the question, at its door, who overrides it."""

    def never(*values: Any) -> bool:
        return False

    checks = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    seen = {**func.__globals__, **dict.fromkeys(checks, never)}
    made = FunctionType(func.__code__, seen, func.__name__, func.__defaults__, func.__closure__)
    made.__kwdefaults__ = func.__kwdefaults__
    return made

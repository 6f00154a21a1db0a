"""In words, and as code: quantities, distributions, layers, places in a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

from torch import Tensor, nn

from captum_influence.attr import (
    ClassScore,
    Cut,
    Distribution,
    Function,
    LinearPath,
    Loss,
    Noise,
    Point,
    PredictedClass,
    Quantity,
    Unit,
)

__all__ = [
    "Names",
    "class_name",
    "code_of",
    "counted",
    "distribution_in_words",
    "layer_name",
    "place",
    "quantity_in_words",
    "target_of",
]

Names = Sequence[str] | Mapping[int, str] | None


def class_name(index: int, names: Names) -> str:
    """Return the name of a class, ``class 3`` if it has none."""
    if names is None:
        return f"class {index}"
    if isinstance(names, Mapping):
        return str(names.get(index, f"class {index}"))
    return str(names[index]) if -len(names) <= index < len(names) else f"class {index}"


def quantity_in_words(quantity: Quantity, names: Names = None) -> str:
    """Return what is asked, for example ``score(coupe) − score(convertible)``."""
    terms = getattr(quantity, "terms", None)
    if terms is not None:
        return _sum_in_words([(w, quantity_in_words(term, names)) for w, term in terms])
    if isinstance(quantity, ClassScore):
        return f"score({_target_in_words(quantity.target, names)})"
    if isinstance(quantity, PredictedClass):
        return "score(predicted class)"
    if isinstance(quantity, Unit):
        return f"unit {code_of(quantity.index)}"
    if isinstance(quantity, Loss):
        return "loss"
    if isinstance(quantity, Function):
        name = getattr(quantity.function, "__name__", "<lambda>")
        return "a function of the output" if name == "<lambda>" else f"{name}(output)"
    return type(quantity).__name__


def counted(count: int, noun: str) -> str:
    """Return ``1 picture``, ``2 pictures``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def target_of(quantity: Quantity) -> int | None:
    """Return the class whose score a quantity is, or None if it isn't one."""
    return _class_index(quantity.target) if isinstance(quantity, ClassScore) else None


def distribution_in_words(distribution: Distribution) -> str:
    """Return over which inputs the gradient is averaged."""
    if isinstance(distribution, Point):
        return "the picture itself"
    if isinstance(distribution, LinearPath):
        start = distribution.baseline
        begin = (
            f"an input of {start:g} everywhere" if isinstance(start, int | float) else "a baseline"
        )
        return f"{distribution.n} points on the straight path from {begin} to the picture"
    if isinstance(distribution, Noise):
        return f"{distribution.n} draws of noise around the picture"
    size = "" if distribution.size is None else f", {distribution.size} points"
    return f"{type(distribution).__name__}{size}"


def layer_name(model: nn.Module, cut: Cut) -> str:
    """Return a layer's dotted name in the network, and its side and call if they matter."""
    module = cut.module
    if not isinstance(module, str):
        found = [name for name, other in model.named_modules() if other is module]
        module = found[0] if found and found[0] else type(module).__name__
    side = "" if cut.side == "output" else f" ({cut.side})"
    return module + side + ("" if cut.call is None else f", call {cut.call}")


def place(row: float, column: float, height: int, width: int) -> str:
    """Return where in a picture a pixel lies: ``upper left``, ``centre``, ``lower middle``, ..."""
    down = ("upper", "", "lower")[min(int(3 * row / height), 2)]
    across = ("left", "middle", "right")[min(int(3 * column / width), 2)]
    if not down:
        return "centre" if across == "middle" else f"{across} middle"
    return f"{down} {across}"


def code_of(value: object) -> str:
    """Return Python that builds a quantity, a distribution or a plain value; tensors as ``...``."""
    terms = getattr(value, "terms", None)
    if isinstance(value, Quantity) and terms is not None:
        return _sum_as_code([(weight, code_of(term)) for weight, term in terms])
    if isinstance(value, Tensor):
        return str(value.item()) if value.numel() == 1 else "..."
    if isinstance(value, tuple | list):
        inner = ", ".join(code_of(item) for item in value)
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"({inner}{comma})" if isinstance(value, tuple) else f"[{inner}]"
    if is_dataclass(value) and not isinstance(value, type):
        inner = ", ".join(_argument(value, f.name) for f in fields(value) if f.init)
        return f"{type(value).__name__}({inner})"
    if value is None or isinstance(value, int | float | str | bool | slice):
        return repr(value)
    return "..."


def _argument(value: object, name: str) -> str:
    inner = getattr(value, name)
    first = fields(value)[0].name  # type: ignore[arg-type]  # a dataclass, seen by the caller
    return code_of(inner) if name == first else f"{name}={code_of(inner)}"


def _target_in_words(target: object, names: Names) -> str:
    if target is None:
        return "output"
    index = _class_index(target)
    return code_of(target) if index is None else class_name(index, names)


def _class_index(target: object) -> int | None:
    """Return a target as the index of one class, if it is one."""
    if isinstance(target, Tensor) and target.numel() == 1:
        return int(target)
    if isinstance(target, list | tuple) and len(target) == 1:
        target = target[0]
    return target if isinstance(target, int) else None


def _signed(weight: float, term: str, times: str) -> tuple[str, str]:
    size = "" if abs(weight) == 1 else f"{abs(weight):g}{times}"
    return ("-" if weight < 0 else "+"), size + term


def _sum_in_words(terms: Sequence[tuple[float, str]]) -> str:
    parts = [_signed(weight, term, " × ") for weight, term in terms]
    words = "".join(f" {sign} {term}" for sign, term in parts).replace(" - ", " − ")
    return words.removeprefix(" + ").strip()


def _sum_as_code(terms: Sequence[tuple[float, str]]) -> str:
    parts = [_signed(weight, term, " * ") for weight, term in terms]
    code = "".join(f" {sign} {term}" for sign, term in parts)
    return code.removeprefix(" + ") if code.startswith(" + ") else "-" + code.removeprefix(" - ")

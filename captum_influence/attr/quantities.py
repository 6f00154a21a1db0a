"""Quantities of interest: one number per example, read off the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from captum_influence.attr.targets import (
    Target,
    entry_of_each,
    one_entry,
    one_per_row,
    per_example_index,
    picked,
)
from captum_influence.data.labels import Names, class_name
from captum_influence.network.outputs import tensor_of
from captum_influence.reports.asked import Write, code_of

__all__ = [
    "ClassScore",
    "Function",
    "PredictedClass",
    "Quantity",
    "Unit",
    "as_tensor",
]


class Quantity(ABC):
    """One number per example. Quantities add, subtract and scale.

    A subclass answers :meth:`__call__`. If it holds something per example (labels, targets), it
    also answers :meth:`rows` and :attr:`examples`; if it must see the explained instance first,
    :meth:`resolve`, or :meth:`seeing` for its inputs. A dataclass is printed by its fields; what is
    to be printed otherwise answers ``code(write)``, where ``write(value, name)`` returns the Python
    of a value that it holds.

    Example:
        >>> sportscar_not_convertible = ClassScore(817) - ClassScore(511)
        >>> mean_of_three = (ClassScore(1) + ClassScore(5) + ClassScore(7)) / 3
    """

    picks_entries: ClassVar[bool] = False  # of each row's own output, so that rows can't mix

    @abstractmethod
    def __call__(self, output: Any) -> Tensor:
        """Return the quantity, shape (rows,), from what the network computes at ``measure_at``."""

    def rows(self, examples: Tensor) -> Quantity:
        """Return the quantity for rows that belong to these examples, an int64 tensor (rows,)."""
        return self

    @property
    def examples(self) -> int | None:
        """For how many examples it holds something, or None if it is the same for all."""
        return None

    def seeing(self, inputs: Mapping[str, Any]) -> Quantity:
        """Return the quantity with what it needs of the explained instances' ``inputs``.

        These are all that the network is given, by the names of its arguments: a mask, say.
        """
        return self

    def resolve(self, reference: Any) -> Quantity:
        """Return the quantity fixed on the explained instances' own output, ``reference``."""
        return self

    @property
    def reads_end(self) -> bool:
        """Whether it reads no more than the last position of a sequence of scores."""
        return False

    @property
    def needs_reference(self) -> bool:
        """Whether :meth:`resolve` has to be called with the explained instances' output."""
        return type(self).resolve is not Quantity.resolve

    def in_words(self, names: Names = None) -> str:
        """Return what is asked as a reader calls it; ``names`` are those of the classes."""
        return type(self).__name__

    def __add__(self, other: Quantity) -> Quantity:
        """Return the sum of two quantities."""
        return _combine(self, 1.0, other, 1.0)

    def __sub__(self, other: Quantity) -> Quantity:
        """Return the difference of two quantities: the comparative quantity."""
        return _combine(self, 1.0, other, -1.0)

    def __mul__(self, factor: float) -> Quantity:
        """Return the quantity times a number."""
        return _Weighted.of(self, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Quantity:
        """Return the quantity divided by a number."""
        return _Weighted.of(self, 1 / divisor)

    def __neg__(self) -> Quantity:
        """Return the quantity with its sign turned."""
        return _Weighted.of(self, -1.0)

    @staticmethod
    def ensure(value: Quantity | Callable[[Any], Tensor] | Target) -> Quantity:
        """Return a quantity as it is, a function as a Function, a target as a ClassScore."""
        if isinstance(value, Quantity):
            return value
        return Function(value) if callable(value) else ClassScore(value)


@dataclass(frozen=True, eq=False)
class ClassScore(Quantity):
    """The network's score for a class, addressed as Captum's ``target`` is.

    ``None`` for networks with one output per example; an ``int`` or one-element tensor: a column
    for all examples; a ``tuple``: one entry of an output with more dimensions; a list or a 1-D
    tensor of ints, or a list of tuples: one target **per example**, not a mean over classes (that
    is ``(ClassScore(1) + ClassScore(5)) / 2``).

    Raises:
        ValueError: when it is evaluated on an output that has no such entry, or whose number of
            examples differs from the number of targets.
        TypeError: if the target is none of the above.
    """

    picks_entries: ClassVar[bool] = True
    target: Target = None
    _index: Tensor | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", per_example_index(self.target))

    @property
    def examples(self) -> int | None:
        return None if self._index is None else len(self._index)

    @property
    def class_index(self) -> int | None:
        """The one class that it is the score of, or None if it isn't one."""
        target = self.target
        if isinstance(target, Tensor) and target.numel() == 1:
            return int(target)
        if isinstance(target, list | tuple) and len(target) == 1:
            target = target[0]
        return target if isinstance(target, int) else None

    def in_words(self, names: Names = None) -> str:
        if self.target is None:
            return "score(output)"
        index = self.class_index
        return f"score({code_of(self.target) if index is None else class_name(index, names)})"

    def rows(self, examples: Tensor) -> Quantity:
        return self if self._index is None else _TargetRows(self._index[examples.cpu()])

    def __call__(self, output: Any) -> Tensor:
        scores = as_tensor(output, self)
        if self._index is not None:
            return picked(scores, self._index)
        if self.target is None:
            return one_per_row(scores)
        return entry_of_each(scores, one_entry(self.target))


@dataclass(frozen=True, eq=False)
class _TargetRows(Quantity):
    """A class score whose per-example targets have been handed out to rows."""

    picks_entries: ClassVar[bool] = True
    index: Tensor

    def code(self, write: Write) -> str:
        single = self.index.shape[1] == 1 < len(self.index)  # one int would be all rows' target
        entries = self.index[:, 0] if single else [tuple(entry) for entry in self.index.tolist()]
        return write(ClassScore(entries), "target")

    def __call__(self, output: Any) -> Tensor:
        return picked(as_tensor(output, self), self.index)


@dataclass(frozen=True)
class PredictedClass(Quantity):
    """The score of the class that the network predicts **for the explained instance**.

    It is decided once, on the instance, and stays the same along the path or within the noise.
    """

    def in_words(self, names: Names = None) -> str:
        return "score(predicted class)"

    def resolve(self, reference: Any) -> Quantity:
        scores = as_tensor(reference, self)
        if scores.ndim != 2:
            cure = (
                "ask for the number itself, quantity=Function(lambda output: output)"
                if scores.ndim == 1
                else "name the entry with ClassScore((..., ...)) instead"
            )
            raise ValueError(
                "PredictedClass expects an output of shape (examples, classes), got "
                f"{tuple(scores.shape)}; {cure}"
            )
        return ClassScore(scores.argmax(dim=1).cpu())

    def __call__(self, output: Any) -> Tensor:
        return self.resolve(output)(output)


@dataclass(frozen=True)
class Unit(Quantity):
    """One unit, or one channel, of the layer at ``measure_at``.

    ``index`` addresses the dimensions after the first; those it leaves out (a channel's positions)
    are reduced: by ``"sum"``, ``"mean"`` or ``"max"``.

    Example:
        >>> Unit(17)(torch.ones(2, 32, 3, 3))
        tensor([9., 9.])
    """

    index: int | tuple[int | slice, ...]
    reduce: Literal["sum", "mean", "max"] = "sum"

    def __post_init__(self) -> None:
        if self.reduce not in ("sum", "mean", "max"):
            raise ValueError(f'expected reduce="sum", "mean" or "max", got {self.reduce!r}')

    def in_words(self, names: Names = None) -> str:
        return f"unit {code_of(self.index)}"

    def __call__(self, output: Any) -> Tensor:
        units = as_tensor(output, self)
        index = self.index if isinstance(self.index, tuple) else (self.index,)
        where = (slice(None), *index)
        try:
            chosen = units[where]
        except IndexError:
            raise ValueError(
                f"unit {self.index} is not in a layer whose units have shape "
                f"{tuple(units.shape[1:])}; index the dimensions after the batch"
            ) from None
        flat = chosen.reshape(len(chosen), -1)
        return flat.amax(dim=1) if self.reduce == "max" else getattr(flat, self.reduce)(dim=1)


@dataclass(frozen=True)
class Function(Quantity):
    """Any function of the output that returns one number per example, shape (rows,).

    Example:
        >>> last_step = Function(lambda output: output[:, -1, 3])
    """

    function: Callable[[Any], Tensor]

    def in_words(self, names: Names = None) -> str:
        name = getattr(self.function, "__name__", "<lambda>")
        return "a function of the output" if name == "<lambda>" else f"{name}(output)"

    def __call__(self, output: Any) -> Tensor:
        return self.function(output)


@dataclass(frozen=True, eq=False)
class _Weighted(Quantity):
    """A sum of quantities, each times a number."""

    terms: tuple[tuple[float, Quantity], ...]

    @staticmethod
    def of(quantity: Quantity, factor: float) -> _Weighted:
        if not isinstance(factor, (int, float)):
            raise TypeError(
                f"a quantity is scaled by a number, got {type(factor).__name__}; write products "
                "of quantities as a Function of the output"
            )
        terms = quantity.terms if isinstance(quantity, _Weighted) else ((1.0, quantity),)
        return _Weighted(tuple((factor * weight, term) for weight, term in terms))

    def in_words(self, names: Names = None) -> str:
        parts = (_signed(weight, term.in_words(names)) for weight, term in self.terms)
        return " ".join(parts).removeprefix("+ ")

    def code(self, write: Write) -> str:
        if len(self.terms) == 1 and self.terms[0][0] == 1:  # a bare term would not be a sum
            return f"1 * {write(self.terms[0][1], 'quantity')}"
        code = "".join(f" {sign} {term}" for sign, term in self._written(write))
        return code.removeprefix(" + ") if code[1] == "+" else "-" + code.removeprefix(" - ")

    def _written(self, write: Write) -> Iterator[tuple[str, str]]:
        for weight, term in self.terms:
            size = abs(weight)
            # In full: the sum is built again from this.
            whole = write(int(size) if float(size).is_integer() else size, "weight")
            times = "" if size == 1 else f"{whole} * "
            yield ("-" if weight < 0 else "+"), times + write(term, "quantity")

    @property
    def needs_reference(self) -> bool:
        return any(term.needs_reference for _, term in self.terms)

    @property
    def examples(self) -> int | None:
        counts = {term.examples for _, term in self.terms} - {None}
        if len(counts) > 1:
            raise ValueError(f"the terms of a sum hold targets for {counts} examples; expected one")
        return counts.pop() if counts else None

    def seeing(self, inputs: Mapping[str, Any]) -> Quantity:
        return self._each(lambda term: term.seeing(inputs))

    def resolve(self, reference: Any) -> Quantity:
        return self._each(lambda term: term.resolve(reference))

    @property
    def reads_end(self) -> bool:
        return all(term.reads_end for _, term in self.terms)

    def rows(self, examples: Tensor) -> Quantity:
        return self._each(lambda term: term.rows(examples))

    def _each(self, change: Callable[[Quantity], Quantity]) -> Quantity:
        return _Weighted(tuple((weight, change(term)) for weight, term in self.terms))

    def __call__(self, output: Any) -> Tensor:
        values = [weight * term(output) for weight, term in self.terms]
        shapes = {tuple(value.shape) for value in values}
        if len(shapes) > 1:
            raise ValueError(f"the terms of a sum of quantities differ in shape: {sorted(shapes)}")
        return torch.stack(values).sum(dim=0)


def _signed(weight: float, words: str) -> str:
    size = "" if abs(weight) == 1 else f"{abs(weight):g} × "
    return f"{'−' if weight < 0 else '+'} {size}{words}"


def _combine(left: Quantity, a: float, right: object, b: float) -> Quantity:
    if not isinstance(right, Quantity):
        raise TypeError(
            f"a quantity adds to a quantity, got {type(right).__name__}; wrap a class as "
            "ClassScore(...), a function as Function(...)"
        )
    return _Weighted(_Weighted.of(left, a).terms + _Weighted.of(right, b).terms)


def as_tensor(output: Any, quantity: Quantity) -> Tensor:
    """Return the tensor that a quantity reads.

    Raises:
        TypeError: if it isn't known which one is meant.
    """
    try:
        return tensor_of(output)
    except TypeError as error:
        raise TypeError(f"{type(quantity).__name__} reads one tensor: {error}") from None

"""What is asked, from what a user says: a class, one rather than another, a quantity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from captum_influence.attr.quantities import ClassScore, PredictedClass, Quantity
from captum_influence.data.labels import Names, class_index

__all__ = ["TargetLike", "numbered", "question"]

TargetLike = int | str | Quantity | Callable[[Any], Tensor] | None


def question(
    target: TargetLike,
    *,
    versus: int | str | None = None,
    quantity: TargetLike = None,
    names: Names = None,
) -> Quantity:
    """Return the quantity that is asked for.

    Args:
        target: a class, by number or name; or a quantity; None: the predicted class.
        versus: another class: why ``target`` rather than this one?
        quantity: the same as ``target``; one of the two may be given.
        names: of the classes.

    Raises:
        TypeError: if it is said twice.
        ValueError: if there is no class of that name, or both are the same.

    Example:
        >>> question("cat", versus="dog", names=["cat", "dog"]).in_words(["cat", "dog"])
        'score(cat) − score(dog)'
    """
    if target is not None and quantity is not None:
        raise TypeError("expected target= or quantity=, got both: they are the same thing")
    asked = _quantity(target if quantity is None else quantity, names)
    if versus is None:
        return asked
    other = class_index(versus, names)
    if isinstance(asked, ClassScore) and asked.class_index == other:
        raise ValueError(
            f"expected two classes to compare, got class {other} as target= and as versus=, whose "
            "difference is zero everywhere: change one"
        )
    return asked - ClassScore(other)


def numbered(target: Any, names: Names) -> Any:
    """Return Captum's ``target``, its classes by their numbers where they go by their names.

    Example:
        >>> numbered(["dog", 0], ["cat", "dog"])
        [1, 0]
    """
    if isinstance(target, str):
        return class_index(target, names)
    if isinstance(target, list) and any(isinstance(one, str) for one in target):
        return [class_index(one, names) for one in target]
    return target


def _quantity(value: TargetLike, names: Names) -> Quantity:
    if value is None:
        return PredictedClass()
    return Quantity.ensure(class_index(value, names) if isinstance(value, str) else value)

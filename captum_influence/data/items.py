"""What a loader yields, told apart: the inputs, the network's further arguments, the labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "ANYTHING",
    "LABELS",
    "Accepts",
    "Item",
    "Split",
    "by_name",
    "columns",
    "image_pair",
    "leading_names",
    "pair",
]

LABELS = ("labels", "label", "target", "targets")  # keys of a mapping
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, eq=False)
class Item:
    """One batch as a loader yields it.

    Attributes:
        inputs: what the network takes first, each (examples, ...).
        target: the labels or another target; None where there is none.
        further: the arguments that follow the inputs, such as a mask.
        names: of the inputs, where these, and what is beside them, go by name.
        beside: the arguments that go by name.
        tokenizer: what made them of text, if that is known.
    """

    inputs: tuple[Any, ...]
    target: Any = None
    further: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None


@dataclass(frozen=True)
class Accepts:
    """What a network takes by position.

    Attributes:
        names: of the arguments, in order.
        required: how many have no default.
        most: how many there may be; None: any number.
        defaults: of those that have one.
        any_name: whether it also takes others by name.

    Example:
        >>> Accepts.of(torch.nn.Bilinear(2, 2, 1)).names
        ('input1', 'input2')
    """

    names: tuple[str, ...] = ()
    required: int = 0
    most: int | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    any_name: bool = False

    @staticmethod
    def of(network: Callable[..., Any]) -> Accepts:
        """Return what a network, or a function that runs it, takes; anything if it can't say."""
        function = network.forward if isinstance(network, nn.Module) else network
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # written in another language
            return ANYTHING
        named = [p for p in parameters if p.kind in _BY_POSITION]
        endless = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        return Accepts(
            tuple(p.name for p in named),
            sum(p.default is p.empty for p in named),
            None if endless else len(named),
            {p.name: p.default for p in named if p.default is not p.empty},
            any(p.kind is p.VAR_KEYWORD for p in parameters),
        )

    def fits(self, count: int) -> bool:
        """Return whether it can be called with so many arguments."""
        return self.required <= count and (self.most is None or count <= self.most)

    @property
    def in_words(self) -> str:
        """How many inputs it takes."""
        if self.most is None:
            return f"{self.required} inputs or more"
        if self.most != self.required:
            return f"{self.required} to {self.most} inputs"
        return f"{self.most} input" + ("" if self.most == 1 else "s")


ANYTHING = Accepts()

Split = Callable[[Any, Accepts], Item]
"""Tells what a loader yields apart, for a network that takes these arguments."""


def pair(item: Any, accepts: Accepts = ANYTHING) -> Item:
    """Tell inputs, and labels if there are any, apart.

    Understood are ``inputs``; ``(inputs, labels)``; ``((first, second), labels)`` and
    ``((first, second),)``; and mappings, whose ``"labels"``, ``"label"`` or ``"target"`` is the
    label. Of ``(first, second)`` the second is an input or a label as the network takes two inputs
    or one; where it takes either, whole numbers, one per example, are labels.

    Raises:
        TypeError: if it is anything else, or can't be known.
    """
    if isinstance(item, Mapping):
        found = _named(item, accepts)
    else:
        parts = tuple(item) if isinstance(item, tuple | list) else (item,)
        grouped = bool(parts) and isinstance(parts[0], Mapping | tuple | list)
        found = _grouped(parts, accepts) if grouped else _apart(parts, accepts)
    if not found.inputs or not all(isinstance(x, Tensor) for x in found.inputs):
        raise TypeError(
            "expected batches of tensors or (inputs, labels) pairs, got "
            f"{type(item).__name__} of {[type(x).__name__ for x in found.inputs]}"
        )
    labels = found.target
    return found if labels is None else replace(found, target=_numbers(labels, found.inputs))


def by_name(item: Any, accepts: Accepts = ANYTHING) -> Item:
    """Tell a batch apart as :func:`pair` does; what a mapping holds keeps its names.

    Raises:
        TypeError: as :func:`pair`.
    """
    listed = isinstance(item, tuple | list) and len(item) in (1, 2)
    mapping = item[0] if listed else item
    if not isinstance(mapping, Mapping):
        return pair(item, accepts)
    label, tensors = _label_and_tensors(mapping, accepts)
    free = accepts.any_name and not accepts.names
    if not free and not all(name in accepts.names for name in tensors):
        return pair(item, accepts)
    names = leading_names(tensors, accepts)
    target = item[1] if listed and len(item) == 2 else label
    inputs = tuple(tensors[name] for name in names)
    return Item(
        inputs,
        None if target is None else _numbers(target, inputs),
        names=names,
        beside={name: tensor for name, tensor in tensors.items() if name not in names},
        tokenizer=getattr(mapping, "tokenizer", None),
    )


def columns(item: Any, accepts: Accepts = ANYTHING) -> Item:
    """Tell ``(*inputs, target)``, or a mapping with a key such as ``"labels"``, apart.

    Raises:
        TypeError: if there is no target.
    """
    if isinstance(item, Mapping):
        found = _named(item, accepts)
        if found.target is None:
            raise TypeError(
                f"expected batches with a target, got a mapping with {list(item)}: name the target "
                f"{LABELS[0]!r}"
            )
        return found
    if not isinstance(item, tuple | list) or len(item) < 2:
        came = f"{len(item)} elements" if isinstance(item, tuple | list) else type(item).__name__
        raise TypeError(
            "expected batches of at least two elements, the inputs and then the target, got "
            f"{came}; let the data set return (input, target)"
        )
    *inputs, target = item
    if isinstance(inputs[0], Mapping) and len(inputs) == 1:
        return replace(_named(inputs[0], accepts), target=target)
    if isinstance(inputs[0], tuple | list) and len(inputs) == 1 and accepts.most != 1:
        inputs = list(inputs[0])
    return Item(tuple(inputs), target)


def image_pair(item: Any) -> tuple[Tensor, Tensor | None]:
    """Tell images, and class numbers if there are any, apart.

    Raises:
        TypeError: if there are no images.
    """
    images, labels = item, None
    if isinstance(item, Mapping):
        keys = [key for key in LABELS if key in item]
        tensors = [x for key, x in item.items() if isinstance(x, Tensor) and key not in keys]
        images = tensors[0] if len(tensors) == 1 else item
        labels = item[keys[0]] if keys else None
    elif isinstance(item, tuple | list) and item:
        images, labels = item[0], item[1] if len(item) > 1 else None
    if not isinstance(images, Tensor):
        came = f"a mapping with {list(item)}" if isinstance(item, Mapping) else type(item).__name__
        raise TypeError(
            f"expected the loader to yield images (examples, ...) or (images, labels), got {came}: "
            "give the DataLoader a collate_fn that picks them. Prompts are what tokenizers return, "
            "whole numbers alone"
        )
    whole = isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point()
    return images, labels if whole else None


# Pairs


def _grouped(parts: tuple[Any, ...], accepts: Accepts) -> Item:
    """Return inputs that come together, and the label that may follow them."""
    if len(parts) > 2:
        raise TypeError(
            f"expected ((inputs, ...), labels), got {len(parts)} elements: let the loader yield "
            "these two"
        )
    first = parts[0]
    found = _named(first, accepts) if isinstance(first, Mapping) else Item(tuple(first))
    return found if len(parts) == 1 else replace(found, target=parts[1])


def _apart(parts: tuple[Any, ...], accepts: Accepts) -> Item:
    """Return the inputs of a plain tuple, and its last element if that is the label."""
    count = len(parts)
    if count < 2:
        return Item(parts)
    last = parts[-1]
    labelled = accepts.fits(count - 1)
    bare = accepts.fits(count) and isinstance(last, Tensor)
    if labelled and bare and not _is_labels(last):
        _refuse_either(parts)
    if labelled:
        return Item(parts[:-1], last)
    if bare:
        return Item(parts)
    raise TypeError(
        f"expected the inputs and the labels, got {count} elements, and the network takes "
        f"{accepts.in_words}: let the loader yield (inputs, labels), as by a collate_fn"
    )


def _is_labels(value: Any) -> bool:
    return bool(value.ndim == 1 and not value.is_floating_point() and not value.is_complex())


def _refuse_either(parts: tuple[Any, ...]) -> None:
    shapes = [tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in parts]
    raise TypeError(
        f"expected labels as whole numbers, one per example, got a batch of shapes {shapes}, whose "
        "last may be another input, for which the network has a place, or a label: let the loader "
        "yield ((first, second),) for two inputs, ((first,), label) for one and its label, as by "
        "the generator (((x, z),) for x, z in loader)"
    )


def _numbers(labels: Any, inputs: tuple[Tensor, ...]) -> Tensor | list[str]:
    """Return labels as a tensor; next tokens of prompts, whole numbers, also as texts."""
    texts = isinstance(labels, tuple | list) and all(isinstance(x, str) for x in labels)
    if texts and labels and not inputs[0].is_floating_point():
        return list(labels)
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"expected labels as numbers, one per example, got a {type(labels).__name__}: let the "
            "loader yield numbers"
        ) from None


# Mappings


def leading_names(tensors: Mapping[Any, Tensor], accepts: Accepts = ANYTHING) -> tuple[str, ...]:
    """Return the names of those that are explained: the floats; else the first that it takes.

    No mask is, and no number that isn't an example's.

    Raises:
        TypeError: if there are none.
    """
    order = {name: place for place, name in enumerate(accepts.names)}
    candidates = [n for n, x in tensors.items() if x.ndim > 0 and "mask" not in str(n)]
    candidates.sort(key=lambda name: order.get(name, len(order)))
    floats = [name for name in candidates if tensors[name].is_floating_point()]
    if not candidates:
        raise TypeError(
            f"expected a mapping with a tensor (examples, ...) to explain, got {list(tensors)}: "
            "name it as the network's argument is"
        )
    return tuple(floats or candidates[:1])


def _named(item: Mapping[Any, Any], accepts: Accepts) -> Item:
    """Tell the tensors of a mapping apart, in the order in which the network takes them."""
    label, tensors = _label_and_tensors(item, accepts)
    arguments = _arguments(tensors, accepts)
    kept = _leading(arguments)
    return Item(arguments[:kept], label, arguments[kept:])


def _label_and_tensors(item: Mapping[Any, Any], accepts: Accepts) -> tuple[Any, dict[Any, Tensor]]:
    """Return the label of a mapping, None if it has none, and its other tensors."""
    needed = accepts.names[: accepts.required] if len(accepts.names) > 1 else ()
    keys = [key for key in LABELS if key in item and key not in needed]
    if len(keys) > 1:
        raise TypeError(
            f"expected one label, got a mapping with {keys}: give the DataLoader a collate_fn that "
            "picks one"
        )
    tensors = {k: v for k, v in item.items() if isinstance(v, Tensor) and k not in keys}
    if not tensors:
        raise TypeError(
            f"expected batches of tensors, got a mapping with {list(item)}: give the DataLoader a "
            "collate_fn that makes tensors"
        )
    return item[keys[0]] if keys else None, tensors


def _arguments(tensors: Mapping[Any, Tensor], accepts: Accepts) -> tuple[Any, ...]:
    """Return the tensors in the order in which the network takes them, defaults in the gaps."""
    known = {name for name in tensors if name in accepts.names}
    if len(tensors) == 1 and not known:
        return tuple(tensors.values())
    if len(known) < len(tensors):
        raise TypeError(
            f"expected a mapping with names of the network's arguments, {list(accepts.names)}, got "
            f"{list(tensors)}: give the DataLoader a collate_fn that renames them, or leaves out "
            "what isn't an input"
        )
    last = max(accepts.names.index(name) for name in known)
    names = accepts.names[: last + 1]
    missing = [name for name in names if name not in tensors and name not in accepts.defaults]
    if missing:
        raise TypeError(
            f"expected a mapping with {missing} too, which the network takes, got {list(tensors)}"
        )
    return tuple(tensors[name] if name in tensors else accepts.defaults[name] for name in names)


def _leading(arguments: Sequence[Any]) -> int:
    """Return how many are explained: the first ones, up to a gap or a mask beside an image."""
    first = arguments[0]
    for place, value in enumerate(arguments):
        alike = isinstance(value, Tensor) and isinstance(first, Tensor)
        if not alike or value.is_floating_point() != first.is_floating_point():
            return max(place, 1)
    return len(arguments)

"""One call of the network, as users give it: its inputs by position or by name, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.inputs import Inputs, NamedInputs
from captum_influence.attr.points import Tensors, values_like
from captum_influence.data.items import ANYTHING, Accepts, leading_names
from captum_influence.network.passes.arguments import Arguments, PerExample, Place

__all__ = ["Call", "Given"]

Given = Tensor | Tensors | Mapping[str, Any]
"""Inputs as ``attribute`` takes them: a tensor, a tuple of these, or tensors by name."""

_MASKS = ("attention_mask", "decoder_attention_mask")


@dataclass(frozen=True, eq=False)
class Call:
    """What the network is called with.

    Attributes:
        inputs: the tensors, by position or by name.
        given: further arguments, by position.
        keywords: further arguments, by name.
        accepts: what the network takes.
        tokenizer: what made the inputs of text, if that is known.
    """

    inputs: Mapping[Place, Tensor]
    given: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    accepts: Accepts = ANYTHING
    tokenizer: Any = None

    @staticmethod
    def of(
        inputs: Given, given: tuple[Any, ...], keywords: Mapping[str, Any], accepts: Accepts
    ) -> Call:
        """Return a call with checked inputs.

        Raises:
            TypeError: if an input is no tensor.
            ValueError: if they hold no data, NaN, or different numbers of examples; or if
                something is given twice.
        """
        keywords = dict(keywords)
        if not isinstance(inputs, Mapping):
            listed = inputs if isinstance(inputs, tuple) else (inputs,)
            return Call(dict(enumerate(_checked(listed))), given, keywords, accepts)
        twice = sorted(set(inputs) & set(keywords))
        if twice:
            raise ValueError(f"{twice} came among the inputs and in forward_kwargs: give each once")
        found: dict[Place, Tensor] = {
            name: value for name, value in inputs.items() if isinstance(value, Tensor)
        }
        leading = leading_names(found, accepts)
        _checked(tuple(found[name] for name in leading))
        keywords |= {name: value for name, value in inputs.items() if name not in found}
        return Call(found, given, keywords, accepts, getattr(inputs, "tokenizer", None))

    @property
    def leading(self) -> tuple[Place, ...]:
        """The places of the inputs that are explained, unless a distribution names others."""
        if all(isinstance(place, int) for place in self.inputs):
            return tuple(self.inputs)
        return leading_names(self.inputs, self.accepts)

    @property
    def examples(self) -> int:
        """How many there are."""
        return len(self.inputs[self.leading[0]])

    @property
    def named(self) -> NamedInputs:
        """All that the network is given, by the names of its arguments."""
        positional = [*(x for p, x in self.inputs.items() if isinstance(p, int)), *self.given]
        found = dict(zip(self.accepts.names, positional, strict=False)) | dict(self.keywords)
        found |= {p: x for p, x in self.inputs.items() if isinstance(p, str)}
        return NamedInputs(found, self.tokenizer)

    def split(
        self, moved: tuple[Place, ...], admit: Callable[[Tensor], Tensor]
    ) -> tuple[Tensors, Arguments]:
        """Return the inputs at these places, and what else the network is given as arguments."""
        kept = [place for place in self.inputs if place not in moved]
        given = [PerExample(self.inputs[p]) for p in kept if isinstance(p, int)]
        given += [self._marked(value) for value in self.given]
        by_name = [place for place in kept if isinstance(place, str)]
        keywords = {name: self._marked(self.inputs[name], in_batch=True) for name in by_name}
        keywords |= {name: self._marked(value) for name, value in self.keywords.items()}
        first = moved == tuple(range(len(moved)))  # they come first, as inputs mostly do
        arguments = Arguments.of(
            tuple(given), keywords, self.examples, admit, None if first else tuple(moved)
        )
        return tuple(admit(self.inputs[place]) for place in moved), arguments

    def _marked(self, value: Any, *, in_batch: bool = False) -> Any:
        """Return a further argument, marked if it has a row for each example beyond doubt.

        Of a batch by name all that can have has, but a square matrix that is unlike the inputs; of
        what is beside inputs, what is shaped like token ids, such as their mask.
        """
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != self.examples:
            return value
        inputs = [self.inputs[place] for place in self.leading]
        alike = any(x.shape == value.shape for x in inputs)
        ids = not any(x.is_floating_point() for x in inputs)
        square = value.ndim > 1 and value.shape[0] == value.shape[1]
        sure = (alike or not square) if in_batch else (alike and ids and not square)
        return PerExample(value) if sure else value

    def values(self, values: Any, name: str) -> dict[Place, Tensor]:
        """Return what shall take the place of inputs, shaped like these or (1, ...).

        Args:
            values: what :class:`Inputs` takes, or it; a number or a tensor for each input.
            name: what they are called in messages.

        Raises:
            ValueError: if there is no such input, or one has another shape.
        """
        found = {}
        for place, value in self.by_place(values, name).items():
            own = self.inputs[place]
            _check_length(value, own, name, place)
            like = values_like(value, (own,), name)[0]
            found[place] = like.expand(len(like), *own.shape[1:])
        self._check_masks(found, name)
        return found

    def changed(self, values: Any, name: str) -> Call:
        """Return the call with other inputs in place of these; see :meth:`values`."""
        found = self.values(values, name)
        new = {place: value.expand_as(self.inputs[place]) for place, value in found.items()}
        return replace(self, inputs={**self.inputs, **new})

    def of_set(self, values: Any, name: str) -> Call:
        """Return a call for a set of inputs, of any number, in place of these.

        Raises:
            ValueError: if it leaves out what differs from example to example.
        """
        named = self.by_place(values, name)
        count = max(len(value) for value in named.values())
        kept = {place: _same_for_all(x) for place, x in self.inputs.items() if place not in named}
        missing = [place for place, x in kept.items() if x is None]
        if missing:
            raise ValueError(
                f"expected a set of {name}s with {missing} too, which differ from example to "
                "example: give a mapping with them, Inputs({...})"
            )
        whole = {p: x.expand(count, *x.shape[1:]) for p, x in kept.items() if x is not None}
        return replace(self, inputs={p: {**whole, **named}[p] for p in self.inputs})

    def by_place(self, values: Any, name: str) -> dict[Place, Any]:
        """Return values by the places of the inputs that they are for."""
        values = values.values if isinstance(values, Inputs) else values
        if isinstance(values, Mapping):
            return {self._place(key, name): value for key, value in values.items()}
        if isinstance(values, tuple):
            if len(values) != len(self.inputs):
                raise ValueError(
                    f"expected one {name} for each of {len(self.inputs)} inputs, got {len(values)}"
                )
            return {p: v for p, v in zip(self.inputs, values, strict=True) if v is not None}
        if isinstance(values, Tensor) and len(self.leading) > 1:
            raise ValueError(
                f"expected one {name} for each of {len(self.leading)} inputs, got 1; pass a tuple"
            )
        return dict.fromkeys(self.leading, values)

    def _place(self, key: Place, name: str) -> Place:
        names = self.accepts.names
        for place in (key, *(index for index, name in enumerate(names) if name == key)):
            if place in self.inputs:
                return place
        raise ValueError(
            f"the {name} names {key!r}, which isn't among the inputs {list(self.inputs)}: leave "
            "it out, or give it as an input too"
        )

    def _check_masks(self, new: Mapping[Place, Tensor], name: str) -> None:
        """Refuse prompts of other lengths, which pads hide."""
        for mask in _MASKS:
            own, other = self.inputs.get(mask), new.get(mask)
            if own is None or other is None or bool((own == other).all()):
                continue
            other = other.expand_as(own)
            lengths = [(int(a.sum()), int(b.sum())) for a, b in zip(own, other, strict=True)]
            row = next((i for i, (a, b) in enumerate(lengths) if a != b), 0)
            raise ValueError(
                f"expected a {name} with as many tokens as its example, in the same places, got "
                f"another {mask} in row {row}, of {lengths[row][1]} tokens for {lengths[row][0]}: "
                "points lie between tokens in the same place, so prompts must be equally long"
            )


def _check_length(value: Any, own: Tensor, name: str, place: Place) -> None:
    """Refuse prompts of another length in words of their own."""
    if not isinstance(value, Tensor) or own.is_floating_point() or own.ndim != 2:
        return
    if value.shape[-1:] != own.shape[-1:]:
        raise ValueError(
            f"expected a {name} as long as its example, {own.shape[-1]} tokens, got "
            f"{value.shape[-1] if value.ndim else 0} ({place!r}): points lie between tokens in the "
            "same place, so replace tokens one by one; Prompts says which pairs differ in length"
        )


def _same_for_all(x: Tensor) -> Tensor | None:
    """Return the first row if all are equal, None if not."""
    return x[:1] if bool((x == x[:1]).all()) else None


def _checked(inputs: Tensors) -> Tensors:
    if not inputs or not all(isinstance(x, Tensor) and x.ndim > 0 for x in inputs):
        raise TypeError(
            "expected inputs as a tensor (examples, ...), a tuple of these, or a mapping by name, "
            f"got {[type(x).__name__ for x in inputs]}"
        )
    counts = {len(x) for x in inputs}
    if len(counts) > 1 or 0 in counts:
        raise ValueError(
            f"expected the same number of examples in every input, at least one, got {counts}"
        )
    for x in inputs:
        if x.is_meta or x.layout is not torch.strided:
            kind = "without data, on the meta device" if x.is_meta else f"of layout {x.layout}"
            raise ValueError(
                f"expected dense inputs with data, got one {kind}: load the weights and the data "
                "first, or call to_dense()"
            )
        if x.is_floating_point() and bool(torch.isnan(x).any()):
            raise ValueError(f"an input of shape {tuple(x.shape)} holds NaN: clean it first")
    return inputs

"""One input as a verb is given it, alone or with what goes beside it, and what is asked of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.inputs import Inputs, NamedInputs, names_inputs
from captum_influence.attr.origins import first_floats
from captum_influence.attr.positions import settled
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.attr.tokens import shown as shown_tokens
from captum_influence.attr.tokens import text_tokenizer, token_ids
from captum_influence.data.items import Accepts
from captum_influence.network.inputs import (
    behind_embedding,
    beside_others,
    network_of,
    one_by_name,
    one_input,
)
from captum_influence.network.outline import last_with_places
from captum_influence.network.outputs import Output, answering, tensor_of
from captum_influence.network.reading import output_of
from captum_influence.network.slices import Slice
from captum_influence.reports.shown import Shown
from captum_influence.units.options import Chosen, Options, check_options, collected
from captum_influence.units.targets import TargetLike, question
from captum_influence.units.units_of import LayerLike

__all__ = [
    "Asking",
    "GivenInput",
    "GivenLike",
    "TokenNames",
    "are_ids",
    "chosen_for",
    "embeds",
    "first_name",
    "names_of",
]

GivenLike = Tensor | Mapping[str, Any]
"""One input: a tensor; token ids; or tensors by name, of which one is explained."""


def chosen_for(
    verb: str,
    model: nn.Module,
    given: GivenLike,
    layer: LayerLike | None,
    options: Any,
    asked: TargetLike = None,
    known: Any = Options,
) -> tuple[Chosen, GivenInput]:
    """Return the options of a call, and its input as it is given.

    Args:
        verb: the function's name, for messages.
        model: the network.
        given: the input.
        layer: as the verb takes it; None: the last with several places for each channel.
        options: its keywords.
        asked: what is asked, if it may be a quantity.
        known: a TypedDict of the keywords there are.
    """
    check_options(verb, options, known)
    run: Run = collected(verb, "run", Run, options)
    shown: Shown = collected(verb, "shown", Shown, options)
    with run.seeded():
        found = GivenInput.of(model, given, shown, run.output, asked)
    if layer is None:
        layer = last_with_places(found.network, found.inputs)
    return replace(Chosen.of(verb, layer, options, known=known), shown=found.shown), found


class Asking(ABC):
    """What a verb is given, as it is asked about.

    Attributes:
        shown: how inputs are shown, with the names of their classes.
        scores_tokens: whether the network scores tokens at each position, of which the next one,
            behind the last, is asked as if tokens were classes.
    """

    shown: Shown
    scores_tokens: bool

    @property
    @abstractmethod
    def seen(self) -> NamedInputs | None:
        """What a quantity may read of the inputs before it is asked; None of a tensor alone."""

    def question(
        self, target: TargetLike, versus: int | str | None = None, quantity: TargetLike = None
    ) -> Quantity:
        """Return the quantity that is asked for, as :func:`question` takes it.

        Tokens may be named by their text, where they are scored and a tokenizer is known.
        """
        target, versus, quantity = (self.numbered(one) for one in (target, versus, quantity))
        names = self.shown.class_names
        asked = question(target, versus=versus, quantity=quantity, names=names)
        return asked if self.seen is None else asked.seeing(self.seen)

    def numbered(self, value: Any) -> Any:
        """Return a token's number for its text; anything else as it is."""
        if not self.scores_tokens or not isinstance(value, str):
            return value
        return int(token_ids(value, self.shown.tokenizer))


@dataclass(frozen=True, eq=False, kw_only=True)
class GivenInput(Asking):
    """One input, and the network that takes it as one tensor.

    Attributes:
        network: takes ``inputs``; what goes beside them, such as a mask, is the same for all rows.
        inputs: (1, ...): what is explained.
        shown: how it is shown, with the names of the classes that the network knows itself.
        named: all that the network is given, by name; empty: the tensor alone.
        name: of ``inputs``.
        tokenizer: what made them of text, if that is known.
        scores_tokens: whether the network scores tokens at each position, of which the next one,
            behind the last, is asked as if tokens were classes.
    """

    network: nn.Module
    inputs: Tensor
    shown: Shown
    named: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    tokenizer: Any = None
    scores_tokens: bool = False

    @staticmethod
    def of(
        model: nn.Module, given: GivenLike, shown: Shown, output: Output, asked: TargetLike = None
    ) -> GivenInput:
        """Return one input as it is given.

        Args:
            model: the network.
            given: the input.
            shown: how it is shown.
            output: which tensor of what the network returns is meant.
            asked: what is asked of it: a quantity reads the network's own output.

        Raises:
            TypeError: if it is no such input.
            ValueError: if it is a batch, is empty, or holds NaN.
        """
        network = network_of(model, output)
        if not isinstance(given, Mapping) and not are_ids(network, given):
            return GivenInput(network=network, inputs=one_input(network, given), shown=shown)
        by_name = given if isinstance(given, Mapping) else {first_name(model): given}
        name, named = one_by_name(network, by_name)
        others = {key: value for key, value in named.items() if key != name}
        found = GivenInput(
            network=beside_others(network, name, others),
            inputs=named[name].detach(),
            shown=shown,
            named=named,
            name=name,
            tokenizer=text_tokenizer(shown.tokenizer or getattr(given, "tokenizer", None)),
        )
        return found._scoring(asked)

    @property
    def seen(self) -> NamedInputs | None:
        return NamedInputs(self.named, self.tokenizer) if self.named else None

    def distribution(self, over: Distribution | None) -> Distribution | None:
        """Return over which inputs it is asked: where others are named, the explained one of them.

        Raises:
            ValueError: if they have other masks, or leave the explained one out.
        """
        return over.located(self._located) if over is not None and self.named else over

    def embedded(self) -> GivenInput:
        """Return the same asked of a copy of the network that takes what embeds the token ids.

        Its inputs are (1, tokens, features).

        Raises:
            ValueError: if nothing embeds them.
        """
        if self.inputs.is_floating_point():
            return self
        cut = first_floats(self.network, self.inputs)
        slice_ = Slice(self.network, [cut])
        with slice_.opened():
            inputs = slice_.read((self.inputs,), (), cuts=slice_.cuts).cuts[0][0].detach()
        name = str(cut.by_name(self.network).module)
        return replace(
            self, network=behind_embedding(self.network, name, self.inputs), inputs=inputs
        )

    def _located(self, start: Any, *, is_set: bool = False) -> Any:
        values = start.values if isinstance(start, Inputs) else start
        if not names_inputs(start) or not isinstance(values, Mapping):
            return start
        others = {n: x for n, x in values.items() if n != self.name}
        differing = [n for n, x in others.items() if not _same(x, self.named.get(n))]
        if differing or self.name not in values:
            raise ValueError(
                f"expected other values of {self.name!r} with all else alike, got "
                f"{list(values)}, of which {differing or self.name} differ: compare prompts of "
                "equally many tokens, as those of Prompts are"
            )
        return Inputs(values[self.name])

    def _scoring(self, asked: TargetLike) -> GivenInput:
        """Return the same with names for what the network scores: its classes, or tokens."""
        if callable(asked):  # a quantity, too
            return self._with_names()
        try:
            scores = tensor_of(output_of(self.network, self.inputs))
        except TypeError:
            return self._with_names()
        if scores.ndim != 3 or self.inputs.is_floating_point():
            return self._with_names()
        at = settled("last", self.named)
        last = int(at[0]) if isinstance(at, Tensor) else at
        names = self.shown.class_names or TokenNames(self.tokenizer, scores.shape[2])
        return replace(
            self,
            network=answering(self.network, partial(_scores_at, last)),
            shown=replace(self.shown, class_names=names, tokenizer=self.tokenizer),
            scores_tokens=True,
        )

    def _with_names(self) -> GivenInput:
        names = self.shown.class_names or names_of(self.network)
        shown = replace(self.shown, class_names=names, tokenizer=self.tokenizer)
        return replace(self, shown=shown)


def are_ids(network: nn.Module, given: Tensor) -> bool:
    """Return whether an input is token ids: whole numbers, for a network that embeds them."""
    if not isinstance(given, Tensor) or given.is_floating_point() or given.ndim not in (1, 2):
        return False
    return embeds(network)


def embeds(network: nn.Module) -> bool:
    """Return whether a network has a table that embeds whole numbers."""
    return any(isinstance(module, nn.Embedding) for module in network.modules())


def names_of(network: nn.Module) -> Mapping[int, str] | None:
    """Return the names of the classes that a network of transformers knows itself; None: none."""
    own = getattr(getattr(network, "config", None), "id2label", None)
    inner: Any = network
    while own is None and (inner := getattr(inner, "stands_for", None)) is not None:
        own = getattr(getattr(inner, "config", None), "id2label", None)
    return own if isinstance(own, Mapping) else None


class TokenNames(Mapping[int, str]):
    """The tokens that a network scores, by their numbers; a text is made of each when asked for."""

    def __init__(self, tokenizer: Any, count: int) -> None:
        self._tokenizer, self._count = tokenizer, count

    def __getitem__(self, token: int) -> str:
        if not 0 <= token < self._count:
            raise KeyError(token)
        return f"token {token}" if self._tokenizer is None else self._text(token)

    def _text(self, token: int) -> str:
        return shown_tokens(self._tokenizer, [token])[0]

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __len__(self) -> int:
        return self._count


def _scores_at(place: int, returned: Any) -> Tensor:
    return tensor_of(returned)[:, place]


def first_name(model: nn.Module) -> str:
    """Return what a network calls its first argument."""
    return next(iter(Accepts.of(network_of(model)).names), "input_ids")


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return one is other
    return torch.equal(one.reshape(-1).to(other.device), other.reshape(-1))

"""One prompt as a network takes it, and another one beside it, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.inputs import NamedInputs
from captum_influence.attr.prompts import Prompts
from captum_influence.attr.tokens import shown
from captum_influence.data.items import Accepts
from captum_influence.network.cuts import Cut
from captum_influence.network.devices import device_of
from captum_influence.network.interventions import intervene
from captum_influence.network.modes import without_graph

__all__ = ["Prompt", "passing"]

Given = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class Prompt:
    """A prompt, tokenised, and what it is compared with.

    Attributes:
        inputs: what the network is given, a batch of one: tensors by name, or the ids alone.
        other: the same of the other prompt; None: there is none.
        tokens: the texts of the tokens.
        others: those of the other prompt.
        named: all that the tokenizer made, by name, and the tokenizer itself.
    """

    inputs: Given
    other: Given | None
    tokens: tuple[str, ...]
    others: tuple[str, ...] | None
    named: NamedInputs

    @staticmethod
    def of(network: nn.Module, tokenizer: Any, text: str, against: str | None) -> Prompt:
        """Tokenise a prompt, and another one of as many tokens.

        Raises:
            TypeError: if one isn't a text.
            ValueError: if the prompts have different numbers of tokens, or the same tokens.
        """
        for said, name in ((text, "prompt"), ("" if against is None else against, "against")):
            if not isinstance(said, str):
                raise TypeError(f"expected {name}= as a text, got {type(said).__name__}")
        pair = Prompts(tokenizer, text, text if against is None else against)
        own, other = pair.clean["input_ids"], pair.corrupted["input_ids"]
        if against is not None and torch.equal(own, other):
            raise ValueError(
                "expected another prompt as against=, got one of the same tokens: change a word, "
                "or leave against= out"
            )
        given = partial(_given, network)
        return Prompt(
            inputs=given(pair.clean),
            other=None if against is None else given(pair.corrupted),
            tokens=tuple(shown(pair.tokenizer, own[0].tolist())),
            others=None if against is None else tuple(shown(pair.tokenizer, other[0].tolist())),
            named=pair.clean,
        )

    def text_of(self, token: int) -> str:
        """Return the text of a token by its number."""
        return shown(self.named.tokenizer, [token])[0]


def _given(network: nn.Module, named: Mapping[str, Tensor]) -> Given:
    """Return what the network takes of a tokenizer's tensors: by name if it knows the first one."""
    accepts, device = Accepts.of(getattr(network, "stands_for", network)), device_of(network)
    moved = {name: tensor.to(device) for name, tensor in named.items()}
    if "input_ids" not in accepts.names and not accepts.any_name:
        return moved["input_ids"]
    return {n: x for n, x in moved.items() if n in accepts.names or accepts.any_name}


def passing(
    network: nn.Module,
    given: Given,
    changes: Mapping[Cut, Any] | None = None,
    *,
    cuts: Sequence[Cut] = (),
    rows: int = 1,
) -> tuple[Any, tuple[Tensor, ...]]:
    """Run a prompt once; return what the network answers, and what passed the cuts.

    Args:
        network: the network.
        given: the prompt.
        changes: what to do to the activations at which cuts.
        cuts: where to read.
        rows: how many times the prompt is in the batch.
    """
    read: dict[Cut, Tensor] = {}

    def keep(cut: Cut, activations: Tensor) -> Tensor:
        read[cut] = activations.detach().clone()
        return activations

    with ExitStack() as stack:
        for cut, change in (changes or {}).items():
            stack.enter_context(intervene(network, cut, change))
        for cut in cuts:
            stack.enter_context(intervene(network, cut, partial(keep, cut)))
        stack.enter_context(without_graph())
        if isinstance(given, Mapping):
            output = network(**{name: x.expand(rows, *x.shape[1:]) for name, x in given.items()})
        else:
            output = network(given.expand(rows, *given.shape[1:]))
    return output, tuple(read[cut] for cut in cuts)

"""What is asked of a language model, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from captum_influence.attr.next_token import NextToken
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.data.labels import Names, class_index
from captum_influence.network.outputs import tensor_of
from captum_influence.network.predictions import Prediction, named_predictions, top_predictions
from captum_influence.units.prompts.prompt import Prompt

__all__ = ["PromptQuestion"]

_TOLD = 5  # classes or tokens


@dataclass(frozen=True, eq=False, kw_only=True)
class PromptQuestion:
    """A quantity of a prompt.

    Attributes:
        quantity: which one, for one example.
        words: how it is called.
        predictions: the tokens or classes with the highest scores.
        scores_tokens: whether the network scores tokens at each position.
    """

    quantity: Quantity
    words: str
    predictions: tuple[Prediction, ...]
    scores_tokens: bool

    @staticmethod
    def of(given: Any, output: Any, prompt: Prompt, names: Names) -> PromptQuestion:
        """Return what is asked, given the network's answer.

        Args:
            given: a quantity; a token or a class, by number or name; None: the one that the network
                predicts.
            output: the answer to the prompt.
            prompt: the prompt.
            names: of classes.

        Raises:
            ValueError: if there is no such token or class.
        """
        scores = tensor_of(output)
        tokens = scores.ndim == 3
        asked = _quantity(given, tokens, names)
        found = _next_tokens(scores[0, -1], prompt) if tokens else top_predictions(output, names)
        if asked is None:
            first = found[0]
            asked = NextToken(first.index) if tokens else ClassScore(first.index)
            words = f"logit({first.name})" if tokens else asked.in_words(names)
        else:
            words = asked.in_words(names)
        quantity = asked.seeing(prompt.named).resolve(output)
        return PromptQuestion(
            quantity=quantity, words=words, predictions=found, scores_tokens=tokens
        )


def _quantity(given: Any, tokens: bool, names: Names) -> Quantity | None:
    if given is None:
        return None
    if isinstance(given, int | str):
        return NextToken(given) if tokens else ClassScore(class_index(given, names))
    return Quantity.ensure(given)


def _next_tokens(row: Tensor, prompt: Prompt) -> tuple[Prediction, ...]:
    best = row.detach().argsort(descending=True, stable=True)[:_TOLD].tolist()
    return named_predictions(row, best, {token: prompt.text_of(token) for token in best})

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
    def of(
        given: Any, output: Any, prompt: Prompt, names: Names, versus: int | str | None = None
    ) -> PromptQuestion:
        """Return what is asked, given the network's answer.

        Args:
            given: a quantity; a token or a class, by number or name; None: the one that the network
                predicts.
            output: the answer to the prompt.
            prompt: the prompt.
            names: of classes.
            versus: another token or class: why the former rather than this one?

        Raises:
            ValueError: if there is no such token or class.
        """
        scores = tensor_of(output)
        tokens = scores.ndim == 3
        found = _next_tokens(scores[0, -1], prompt) if tokens else top_predictions(output, names)
        asked = _quantity(found[0].index if given is None else given, tokens, names)
        words = asked.in_words(names)
        if given is None and tokens:
            words = f"logit({found[0].name})"
        if versus is not None:
            other = _quantity(versus, tokens, names)
            asked, words = asked - other, f"{words} − {other.in_words(names)}"
        return PromptQuestion(
            quantity=asked.seeing(prompt.named).resolve(output),
            words=words,
            predictions=found,
            scores_tokens=tokens,
        )


def _quantity(given: Any, tokens: bool, names: Names) -> Quantity:
    if isinstance(given, int | str):
        return NextToken(given) if tokens else ClassScore(class_index(given, names))
    return Quantity.ensure(given)


def _next_tokens(row: Tensor, prompt: Prompt) -> tuple[Prediction, ...]:
    best = row.detach().argsort(descending=True, stable=True)[:_TOLD].tolist()
    return named_predictions(row, best, {token: prompt.text_of(token) for token in best})

"""What a profile asks of prompts: the next token of each, and which of its places are tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from captum_influence.attr.next_token import NextToken
from captum_influence.attr.positions import at_positions, settled
from captum_influence.attr.tokens import token_ids
from captum_influence.data.batch import Batch
from captum_influence.network.modes import without_graph
from captum_influence.network.outputs import tensor_of

__all__ = ["NextTokens", "RealPlaces", "real_places"]

_MASK = "attention_mask"


class NextTokens:
    """Labels of prompts as tokens, for a network that scores these at each position.

    Args:
        forward: the network, or a function that runs it.
    """

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward
        self._asked: bool | None = None

    def of(self, batch: Batch) -> NextToken | None:
        """Return the score of each label as the next token; None if labels are classes.

        Raises:
            TypeError: if there isn't one label for each prompt.
            ValueError: if a label is a text, and the prompts don't know their tokenizer.
        """
        if self._asked is None:
            self._asked = self._scores_tokens(batch)
        if not self._asked:
            return None
        labels = batch.target
        if isinstance(labels, Tensor) and labels.ndim != 1:
            raise TypeError(
                f"expected one label for each prompt, its next token, got {tuple(labels.shape)}: "
                "let the loader yield (prompts, next tokens); labels of each token, which a "
                "language model is trained on, say nothing of a prompt as a whole"
            )
        if not isinstance(labels, Tensor) and batch.tokenizer is None:
            raise ValueError(
                f"expected next tokens by their numbers, got {len(labels)} texts, and prompts that "
                'don\'t know their tokenizer: give tokenizer(text)["input_ids"][-1], or prompts as '
                "Prompts(tokenizer, ...).batches(8) makes them"
            )
        return NextToken(token_ids(labels, batch.tokenizer))

    def scores(self, output: Any, batch: Batch) -> Tensor:
        """Return the scores that a network answered with, of prompts those at their last tokens."""
        scores = tensor_of(output)
        if scores.ndim != 3 or batch.inputs[0].is_floating_point():
            return scores
        return at_positions(scores, settled("last", batch.named), "the predicted token")

    def _scores_tokens(self, batch: Batch) -> bool:
        """Return whether the network, given token ids, scores something at each position."""
        if batch.inputs[0].is_floating_point():
            return False
        named = {name: value[:1] for name, value in batch.named.items()}
        given = () if named else tuple(value[:1] for value in batch.arguments)
        with without_graph():
            return tensor_of(self._forward(*given, **named)).ndim == 3


@dataclass(frozen=True, eq=False)
class RealPlaces:
    """Which places of a layer belong to tokens that are no pads.

    Attributes:
        mask: bool (examples, tokens).
        dimensions: of one example's activations, those that count tokens.
    """

    mask: Tensor
    dimensions: tuple[int, ...]

    def of_each(self) -> Iterator[tuple[int, Tensor]]:
        """Yield each example's number, and the places of its tokens."""
        for number, row in enumerate(self.mask):
            yield number, row.nonzero().flatten()


def real_places(shape: tuple[int, ...], axis: int, batch: Batch) -> RealPlaces | None:
    """Return which places of a layer are tokens; None if nothing says that some aren't.

    Args:
        shape: of one example's activations.
        axis: the dimension that counts units, the examples' being 0.
        batch: the prompts, with their mask.
    """
    mask = batch.named.get(_MASK)
    if not isinstance(mask, Tensor) or mask.ndim != 2 or bool((mask != 0).all()):
        return None
    pooled = [d for d in range(len(shape)) if d != axis - 1]
    if axis == 1 and shape[0] == mask.shape[1]:  # positions are the units: features are pooled
        pooled = []
    places = tuple(d for d in pooled if shape[d] == mask.shape[1])
    # Tokens come before features: (tokens, features), (heads, tokens, features or tokens).
    places = places if len(shape) == 3 else places[:1]
    return RealPlaces(mask != 0, places) if places else None

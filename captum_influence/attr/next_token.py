"""The logit of the token that comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from torch import Tensor

from captum_influence.attr.positions import (
    Position,
    at_positions,
    examples_of,
    given_positions,
    in_words_at,
    of_rows,
    settled,
)
from captum_influence.attr.quantities import Quantity, as_tensor
from captum_influence.attr.targets import entry_of_each, picked
from captum_influence.attr.tokens import Token, known_ids, token_ids, token_in_words
from captum_influence.data.labels import Names

__all__ = ["NextToken"]


@dataclass(frozen=True, eq=False)
class NextToken(Quantity):
    """The logit of a token at a position, the last one by default.

    The last position is each row's own, taken from the attention mask, whichever side is padded.
    For a network that scores tokens at each position, (examples, positions, vocabulary).

    Args:
        token: its number or its text; a list or tensor: one for each example.
        at: ``"last"``, or a position for all rows, or a list or tensor of one for each example.
        tokenizer: of a text; None: that of the :class:`Prompts` that are explained.

    Raises:
        ValueError: if a text isn't one token, or there is no tokenizer for it.

    Example:
        >>> difference = NextToken(1757, at="last") - NextToken(1335)
        >>> difference.in_words()
        'logit(token 1757) − logit(token 1335)'
    """

    token: Token
    at: Position = "last"
    tokenizer: Any = None
    picks_entries: ClassVar[bool] = True
    _ids: int | Tensor | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", given_positions(self.at))
        object.__setattr__(self, "_ids", known_ids(self.token, self.tokenizer))

    @property
    def examples(self) -> int | None:
        return examples_of(self._ids, self.at)

    @property
    def reads_end(self) -> bool:
        return isinstance(self.at, int) and self.at == -1

    def seeing(self, inputs: Mapping[str, Any]) -> NextToken:
        ids = self._ids
        if ids is None:
            ids = token_ids(self.token, getattr(inputs, "tokenizer", None))
        return replace(self, token=ids, at=settled(self.at, inputs), tokenizer=None)

    def rows(self, examples: Tensor) -> NextToken:
        if self.examples is None:
            return self
        ids, at = of_rows(self._ids, examples), of_rows(self.at, examples)
        return replace(self, token=ids, at=at, tokenizer=None)

    def in_words(self, names: Names = None) -> str:
        return f"logit({token_in_words(self.token)}{in_words_at(self.at)})"

    def __call__(self, output: Any) -> Tensor:
        ids = token_ids(self.token, None) if self._ids is None else self._ids
        scores = at_positions(as_tensor(output, self), self.at, "NextToken")
        if isinstance(ids, Tensor):
            return picked(scores, ids[:, None])
        return entry_of_each(scores, (ids,))

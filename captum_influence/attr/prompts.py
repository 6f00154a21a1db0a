"""Pairs of prompts, clean and corrupted, tokenised so that their tokens stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.inputs import Inputs, NamedInputs
from captum_influence.attr.tokens import encoded, shown, text_tokenizer

__all__ = ["Prompts"]

Texts = str | Sequence[str]


@dataclass(frozen=True, eq=False)
class Prompts:
    """Pairs of prompts of equally many tokens, as a path or a removal compares them.

    All are padded on the right to one length, with their masks, so that each token has the
    position that it has alone.

    Args:
        tokenizer: called with a text it returns ``input_ids``, and what else the network takes.
        clean: the prompts that are explained; one text, or several.
        corrupted: one for each, differing in what is asked about; or one for all.

    Attributes:
        clean_inputs: see :attr:`clean`.

    Raises:
        ValueError: if a pair has different numbers of tokens, saying where they part.

    Example:
        >>> words = {"Mary": 1, "John": 2, "and": 3, "left": 4}
        >>> def tokenizer(text):
        ...     return {"input_ids": [words[word] for word in text.split()]}
        >>> prompts = Prompts(tokenizer, "Mary and John left", "John and John left")
        >>> prompts.corrupted["input_ids"]
        tensor([[2, 3, 2, 4]])
    """

    tokenizer: Callable[..., Any]
    clean_texts: Texts
    corrupted_texts: Texts

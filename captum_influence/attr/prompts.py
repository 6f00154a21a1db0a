"""Pairs of prompts, clean and corrupted, whose tokens stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.inputs import NamedInputs
from captum_influence.attr.tokens import encoded, shown, text_tokenizer

__all__ = ["Prompts"]

Encoding = Mapping[str, list[int]]


class Prompts:
    """Pairs of prompts of equally many tokens, as a path between them needs.

    ``clean`` and ``corrupted`` are mappings such as a tokenizer returns, of tensors (pairs,
    tokens). They are padded on the right, with a mask, so that each token has the position that
    it has alone.

    Args:
        tokenizer: called with a text, it returns a mapping with ``input_ids``.
        clean: the prompts that are explained: a text, or several.
        corrupted: another prompt for each, or one for all.

    Raises:
        ValueError: if the prompts of a pair have different numbers of tokens, saying where they
            part.

    Example:
        >>> numbers = {"Mary": 1, "John": 2, "and": 3, "left": 4}
        >>> tokenizer = lambda text: {"input_ids": [numbers[word] for word in text.split()]}
        >>> prompts = Prompts(tokenizer, "Mary and John left", "John and John left")
        >>> prompts.corrupted["input_ids"]
        tensor([[2, 3, 2, 4]])
    """

    def __init__(
        self,
        tokenizer: Callable[..., Any],
        clean: str | Sequence[str],
        corrupted: str | Sequence[str],
    ) -> None:
        found = text_tokenizer(tokenizer)
        if found is None:
            raise TypeError("expected a tokenizer, got None")
        self.tokenizer = found
        here, there = _listed(clean), _listed(corrupted)
        there = there * len(here) if len(there) == 1 else there
        if not here or len(here) != len(there):
            raise ValueError(
                "expected a corrupted prompt for each clean one, or one for all, got "
                f"{len(here)} and {len(there)}"
            )
        own = [encoded(found, text) for text in here]
        other = [encoded(found, text) for text in there]
        for number, (a, b) in enumerate(zip(own, other, strict=True)):
            self._check_pair(number, a["input_ids"], b["input_ids"])
        self.clean = NamedInputs(_padded(own, found), found)
        self.corrupted = NamedInputs(_padded(other, found), found)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.clean["input_ids"])

    def batches(self, size: int) -> list[NamedInputs]:
        """Return the clean prompts in batches, in order, as :class:`InfluenceProfile` takes them.

        Beside them ``LinearPath(Inputs(prompts.corrupted))`` finds each prompt's own partner.
        """
        if size < 1:
            raise ValueError(f"expected batches of at least one prompt, got size={size}")
        columns = {name: torch.split(tensor, size) for name, tensor in self.clean.items()}
        rows = zip(*columns.values(), strict=True)
        return [NamedInputs(dict(zip(columns, row, strict=True)), self.tokenizer) for row in rows]

    def _check_pair(self, number: int, own: list[int], other: list[int]) -> None:
        if len(own) == len(other):
            return
        pairs = zip(own, other, strict=False)
        place = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(own), len(other)))
        here, there = (shown(self.tokenizer, ids[place : place + 3]) for ids in (own, other))
        raise ValueError(
            f"expected prompts of equally many tokens, got {len(own)} and {len(other)} in pair "
            f"{number}: they part at token {place}, {_told(here)} against {_told(there)}. Choose "
            "words that are as many tokens"
        )


def _listed(texts: str | Sequence[str]) -> list[str]:
    listed = [texts] if isinstance(texts, str) else list(texts)
    wrong = [type(text).__name__ for text in listed if not isinstance(text, str)]
    if wrong:
        raise TypeError(f"expected prompts as texts, got {', '.join(dict.fromkeys(wrong))}")
    return listed


def _padded(encodings: Sequence[Encoding], tokenizer: Any) -> dict[str, Tensor]:
    """Return the tokens (pairs, tokens) and their mask; pads stand on the right."""
    length = max(len(encoding["input_ids"]) for encoding in encodings)
    if not all(encoding["input_ids"] for encoding in encodings):
        raise ValueError("expected prompts of at least one token, got an empty one")
    pads = (getattr(tokenizer, name, None) for name in ("pad_token_id", "eos_token_id"))
    pad = next((number for number in pads if isinstance(number, int)), 0)
    fills = dict.fromkeys(encodings[0], 0) | {"input_ids": pad}
    masks = [[1] * len(encoding["input_ids"]) for encoding in encodings]
    columns = {name: [encoding[name] for encoding in encodings] for name in encodings[0]}
    columns |= {"attention_mask": masks}
    return {
        name: torch.tensor([[*row, *[fills.get(name, 0)] * (length - len(row))] for row in rows])
        for name, rows in columns.items()
    }


def _told(tokens: Sequence[str]) -> str:
    return " ".join(tokens) if tokens else "nothing"

"""Tokens by their text: what a tokenizer, of whatever make, turns it into."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Token",
    "encoded",
    "known_ids",
    "shown",
    "text_tokenizer",
    "token_ids",
    "token_in_words",
]

Token = int | str | Sequence[int] | Sequence[str] | Tensor
"""A token by its number or its text; or one for each example."""


def text_tokenizer(tokenizer: Any) -> Callable[..., Any] | None:
    """Return what tokenises text: the tokenizer itself, or that of a processor or of Prompts."""
    inner = getattr(tokenizer, "tokenizer", None)
    found: Callable[..., Any] | None = tokenizer if inner is None else inner
    if found is not None and not callable(found):
        raise TypeError(
            "expected a tokenizer that is called with text and returns input_ids, got a "
            f"{type(found).__name__}"
        )
    return found


def encoded(tokenizer: Callable[..., Any], text: str, *, special: bool = True) -> dict[str, Any]:
    """Return what a tokenizer makes of one text: lists of numbers, by name.

    ``special``: whether with the special tokens that it puts around, where it knows of this.

    Raises:
        TypeError: if it returns no ``input_ids``.
    """
    keywords = {} if special or not _takes_special(tokenizer) else {"add_special_tokens": False}
    found = tokenizer(text, **keywords)
    try:
        names = [name for name in found.keys() if name != "special_tokens_mask"]  # noqa: SIM118  # a UserDict
        lists = {name: torch.as_tensor(found[name]).reshape(-1).tolist() for name in names}
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(
            "expected a tokenizer that returns a mapping of lists of numbers, input_ids and "
            f"attention_mask, got a {type(found).__name__}"
        ) from error
    if "input_ids" not in lists:
        raise TypeError(f"expected a tokenizer that returns input_ids, got {list(lists)}")
    return lists


def shown(tokenizer: Callable[..., Any], ids: Sequence[int]) -> list[str]:
    """Return tokens as a reader knows them: their text if the tokenizer tells it, else numbers."""
    decode = getattr(tokenizer, "decode", None)
    return [repr(decode([i])) if callable(decode) else str(i) for i in ids]


def token_ids(token: Token, tokenizer: Any) -> int | Tensor:
    """Return a token's number, or a tensor of one for each example.

    Raises:
        ValueError: if there is no tokenizer for a text, or it makes several tokens of one.
        TypeError: if it is no token.
    """
    if isinstance(token, str):
        return _one_token(token, text_tokenizer(tokenizer))
    if isinstance(token, Tensor) and token.ndim < 2 and not token.is_floating_point():
        return token.cpu() if token.ndim else int(token)
    if isinstance(token, int):
        return token
    if isinstance(token, Sequence) and token:
        return torch.tensor([int(token_ids(one, tokenizer)) for one in token])
    raise TypeError(
        "expected a token as a number or a text, or a list of one for each example, got "
        f"{type(token).__name__}"
    )


def known_ids(token: Token, tokenizer: Any) -> int | Tensor | None:
    """Return the numbers of tokens; None of a text whose tokenizer isn't known yet."""
    parts = token if isinstance(token, list | tuple) else [token]
    if tokenizer is None and any(isinstance(part, str) for part in parts):
        return None
    return token_ids(token, tokenizer)


def token_in_words(token: Token) -> str:
    """Return a token as a reader calls it: its text in quotes, or its number."""
    if isinstance(token, str):
        return repr(token)
    return f"token {token}" if isinstance(token, int) else "a token of each"


def _one_token(text: str, tokenizer: Callable[..., Any] | None) -> int:
    if tokenizer is None:
        raise ValueError(
            f"expected a tokenizer for the token {text!r}: give tokenizer=, or its number"
        )
    ids = encoded(tokenizer, text, special=False)["input_ids"]
    if len(ids) != 1:
        raise ValueError(
            f"expected one token, got {len(ids)} for {text!r}: {', '.join(shown(tokenizer, ids))}; "
            "ask for one of them (a space at the beginning may be part of the token)"
        )
    return int(ids[0])


def _takes_special(tokenizer: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(tokenizer).parameters
    except (TypeError, ValueError):
        return False
    return "add_special_tokens" in parameters

"""Tokens by their text, with a tokenizer of any make."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenised import Words, plain

from captum_influence.attr.tokens import (
    encoded,
    known_ids,
    shown,
    text_tokenizer,
    token_ids,
    token_in_words,
)


def test_tokens_of_texts() -> None:
    assert token_ids(" Mary", Words()) == 2
    assert token_ids("John", plain) == 3
    assert token_ids(7, None) == 7
    several = token_ids([" Mary", " John"], Words())
    assert isinstance(several, torch.Tensor)
    assert several.tolist() == [2, 3]
    assert token_ids(" Mary", SimpleNamespace(tokenizer=Words())) == 2  # a processor


def test_what_is_several_tokens_is_told_which() -> None:
    with pytest.raises(ValueError, match=r"got 2 for ' Mary left': ' Mary', ' left'; ask for one"):
        token_ids(" Mary left", Words())
    with pytest.raises(ValueError, match="got 2 for 'Mary left': 2, 5"):
        token_ids("Mary left", plain)


def test_a_text_needs_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="give tokenizer=, or its number"):
        token_ids(" Mary", None)
    assert known_ids(" Mary", None) is known_ids([" Mary", 3], None) is None
    assert known_ids(" Mary", Words()) == known_ids(2, None) == 2


@pytest.mark.parametrize("token", [None, 1.5, [], torch.tensor([0.5]), torch.zeros(1, 1).long()])
def test_what_is_no_token(token: Any) -> None:
    with pytest.raises(TypeError, match="expected a token as a number or a text"):
        token_ids(token, Words())


def test_special_tokens_are_left_out_where_they_can_be() -> None:
    assert encoded(Words(), " Mary")["input_ids"] == [1, 2]
    assert encoded(Words(), " Mary", special=False)["input_ids"] == [2]
    batched = encoded(lambda text: {"input_ids": torch.tensor([[4, 5]])}, "")
    assert batched["input_ids"] == [4, 5]


@pytest.mark.parametrize("found", [[1, 2], {"ids": [1]}, None, {"input_ids": "a"}])
def test_what_is_no_tokenizer(found: Any) -> None:
    with pytest.raises(TypeError, match="expected a tokenizer that returns"):
        encoded(lambda text: found, "Mary")
    with pytest.raises(TypeError, match="called with text"):
        text_tokenizer(3)


def test_in_words() -> None:
    assert shown(Words(), [2, 5]) == ["' Mary'", "' left'"]
    assert [token_in_words(t) for t in (" Mary", 3, [1, 2])] == [
        "' Mary'",
        "token 3",
        "a token of each",
    ]

"""What is asked of a prompt, from what a user says."""

from typing import Any

import prompted
import pytest
import torch
from prompted import CLEAN, WordTokenizer

from captum_influence.attr.next_token import NextToken
from captum_influence.units.prompts.prompt import Prompt
from captum_influence.units.prompts.question import PromptQuestion

PROMPT = Prompt.of(prompted.reader(), WordTokenizer(), CLEAN, None)
TOKENS = torch.zeros(1, 11, 20)
TOKENS[0, -1, 3] = 2.0
CLASSES = torch.tensor([[0.0, 3.0, 1.0]])
NAMES = ["ham", "spam", "eggs"]


@pytest.mark.parametrize(
    ("given", "output", "words", "value"),
    [
        (None, TOKENS, "logit('John')", 2.0),
        ("John", TOKENS, "logit('John')", 2.0),
        (3, TOKENS, "logit(token 3)", 2.0),
        (2 * NextToken("John"), TOKENS, "2 × logit('John')", 4.0),
        (None, CLASSES, "score(spam)", 3.0),
        ("eggs", CLASSES, "score(eggs)", 1.0),
        (2, CLASSES, "score(eggs)", 1.0),
    ],
)
def test_what_is_said_is_asked(given: Any, output: Any, words: str, value: float) -> None:
    asked = PromptQuestion.of(given, {"logits": output}, PROMPT, NAMES)
    assert (asked.words, float(asked.quantity(output))) == (words, value)
    assert asked.scores_tokens is (output is TOKENS)
    assert asked.predictions[0].name == ("'John'" if output is TOKENS else "spam")


@pytest.mark.parametrize(
    ("given", "versus", "output", "words", "value"),
    [
        ("John", "Mary", TOKENS, "logit('John') − logit('Mary')", 2.0),
        (None, 5, TOKENS, "logit('John') − logit(token 5)", 2.0),
        ("spam", "eggs", CLASSES, "score(spam) − score(eggs)", 2.0),
    ],
)
def test_one_rather_than_another(
    given: Any, versus: Any, output: Any, words: str, value: float
) -> None:
    asked = PromptQuestion.of(given, output, PROMPT, NAMES, versus)
    assert (asked.words, float(asked.quantity(output))) == (words, value)


def test_what_is_no_token_is_refused() -> None:
    with pytest.raises(ValueError, match="'cat'"):
        PromptQuestion.of("cat", CLASSES, PROMPT, NAMES)

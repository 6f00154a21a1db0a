"""A language model and a prompt, from the shell's words."""

import pytest
import torch

from captum_influence.cli.prompts import LanguageModel, demo_prompt
from captum_influence.cli.syntax.texts import LanguageOptions, PromptOptions


def test_the_demo_says_what_it_is_asked_about() -> None:
    asked, question = LanguageModel.of(LanguageOptions()), demo_prompt(PromptOptions())
    said = {}
    for text in (question.prompt, question.against):
        ids = torch.tensor([asked.tokenizer(text)["input_ids"]])
        said[text] = asked.tokenizer.decode([int(asked.model(ids)[0, -1].argmax())])
    assert said == {question.prompt: question.target, question.against: question.versus}


def test_what_belongs_to_no_prompt_is_named() -> None:
    with pytest.raises(ValueError, match="expected --prompt beside --target"):
        demo_prompt(PromptOptions(target="Ben"))

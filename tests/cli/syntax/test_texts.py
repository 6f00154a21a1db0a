"""The subcommands about prompts."""

from captum_influence.cli.program import parsed
from captum_influence.cli.syntax.texts import EdgesOptions, PromptOptions


def test_a_prompt_keeps_its_spaces() -> None:
    words = ["explain-text", "--prompt", "When Mary", "--target", " John"]
    (found,) = (group for group in parsed(words)[1] if isinstance(group, PromptOptions))
    assert (found.prompt, found.target) == ("When Mary", " John")


def test_sizes_of_circuits_are_whole_numbers() -> None:
    words = ["circuit", "--sizes", "5, 20"]
    (found,) = (group for group in parsed(words)[1] if isinstance(group, EdgesOptions))
    assert found.sizes == (5, 20)

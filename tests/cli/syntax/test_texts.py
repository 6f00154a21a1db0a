"""The subcommand about a prompt."""

from captum_influence.cli.program import parsed
from captum_influence.cli.syntax.texts import PromptOptions


def test_a_prompt_keeps_its_spaces() -> None:
    words = ["explain-text", "--prompt", "When Mary", "--target", " John"]
    (found,) = (group for group in parsed(words)[1] if isinstance(group, PromptOptions))
    assert (found.prompt, found.target) == ("When Mary", " John")

"""The subcommand about a prompt: ``explain-text``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum_influence.cli.groups import Command, Group, count, option
from captum_influence.cli.options import (
    NetworkOptions,
    OutputOptions,
    SeedOptions,
)

__all__ = [
    "EXPLAIN_TEXT",
    "PromptOptions",
]

_EXPLAIN_TEXT_ABOUT = """\
Find the tokens, heads and neurons that made a network of transformers say what it says about a
prompt, and replace them: by what they are in another prompt, or by zero. --model is a folder that
save_pretrained wrote, with its tokenizer, or a name on the Hugging Face hub. Without it, a small
network is asked that comes along, and goes on with names as it has read them before."""


_EXPLAIN_TEXT_EXAMPLES = """\
examples:
  captum-influence explain-text
  captum-influence explain-text --model gpt2/ --target " Mary" --versus " John" \\
      --prompt "When Mary and John left, John gave a book to" \\
      --against "When Anna and John left, John gave a book to"
  captum-influence explain-text --model sentiment/ --prompt "a fine film" --target positive"""


@dataclass(frozen=True, kw_only=True)
class PromptOptions(Group):
    """What is asked of which text."""

    title: ClassVar[str] = "question"

    prompt: str | None = option(
        "--prompt", metavar="TEXT", help="what to ask about; required with --model"
    )
    against: str | None = option(
        "--against",
        metavar="TEXT",
        help="another prompt of as many tokens, to compare with; default: activations of zero",
    )
    target: str | None = option(
        "--target",
        metavar="CLASS",
        help="a token as it is written, with its space, or a class; default: what the network says",
    )
    versus: str | None = option(
        "--versus", metavar="CLASS", help="why the target rather than this one?"
    )
    points: int | None = option(
        "--points",
        type=count,
        metavar="N",
        help="on a path at every layer, whose contributions add up; default: at the prompt",
    )
    top: int = option(
        "--top", type=count, default=5, metavar="N", help="tokens, heads, neurons; default: 5"
    )


EXPLAIN_TEXT = Command(
    purpose="which tokens, heads and neurons caused what a language model says",
    description=_EXPLAIN_TEXT_ABOUT,
    examples=_EXPLAIN_TEXT_EXAMPLES,
    groups=(NetworkOptions, PromptOptions, SeedOptions, OutputOptions),
)

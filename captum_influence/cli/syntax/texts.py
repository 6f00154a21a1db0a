"""Subcommands about prompts: ``explain-text``, ``circuit``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum_influence.cli.groups import Command, Group, count, option, whole_numbers
from captum_influence.cli.options import OutputOptions, SeedOptions, device, labels

__all__ = [
    "CIRCUIT",
    "EXPLAIN_TEXT",
    "EdgesOptions",
    "LanguageOptions",
    "PromptOptions",
    "TokensOptions",
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
class LanguageOptions(Group):
    """Which network of Hugging Face, which brings its weights and its tokenizer, and where."""

    title: ClassVar[str] = "network"

    model: str | None = option(
        "--model",
        metavar="FOLDER|NAME",
        help="a folder that save_pretrained wrote, of a model and its tokenizer, or a name on the "
        "Hugging Face hub (downloaded), with hf: before it or without; takes transformers; "
        "without it, the embedded demo network",
    )
    labels: str | None = labels()
    device: str = device()


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
        help="another prompt of as many tokens, to compare with; explain-text can do without, and "
        "then takes activations of zero",
    )
    target: str | None = option(
        "--target",
        metavar="CLASS",
        help="a token as it is written, with its space, or a class; default: what the network says",
    )
    versus: str | None = option(
        "--versus", metavar="CLASS", help="why the target rather than this one?"
    )


@dataclass(frozen=True, kw_only=True)
class TokensOptions(Group):
    """How tokens, heads and neurons are measured, and how many are shown."""

    title: ClassVar[str] = "units"

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
    groups=(LanguageOptions, PromptOptions, TokensOptions, SeedOptions, OutputOptions),
)


_CIRCUIT_ABOUT = """\
Find which parts of a transformer speak to which to give an answer, and run the network with these
edges alone: everything else hears what another prompt says. Beside the report stand the graph as
circuit.svg and circuit_mib.json, which the evaluator of the MIB benchmark reads. --model is a
folder that save_pretrained wrote, with its tokenizer, or a name on the Hugging Face hub. Without
it, a small network is asked that comes along, and goes on with names as it has read them before.
"""


_CIRCUIT_EXAMPLES = """\
examples:
  captum-influence circuit
  captum-influence circuit --induction
  captum-influence circuit --model gpt2/ --target " Mary" --versus " John" \\
      --prompt "When Mary and John left, John gave a book to" \\
      --against "When Anna and John left, John gave a book to"
  captum-influence circuit --model gpt2/ --pairs pairs.csv --sizes 50,100,200"""


@dataclass(frozen=True, kw_only=True)
class EdgesOptions(Group):
    """How edges are scored, and how many are tried."""

    title: ClassVar[str] = "circuit"

    pairs: str | None = option(
        "--pairs",
        metavar="FILE",
        help="many prompts instead of one: CSV or JSON with clean, corrupted and, if you like, "
        "target and versus",
    )
    induction: bool = option(
        "--induction",
        action="store_true",
        default=False,
        help="ask a network that is wired by hand, so that its circuit is known",
    )
    quantity: str = option(
        "--quantity",
        choices=("logit", "log-probability"),
        default="logit",
        help="of the target, what edges are scored by; default: logit",
    )
    distribution: str = option(
        "--distribution",
        choices=("path", "point"),
        default="path",
        help="where slopes are taken: between the two prompts, or at the prompt itself; "
        "default: path",
    )
    points: int | None = option("--points", type=count, metavar="N", help="of the path; default: 5")
    edges: int | None = option(
        "--edges",
        type=count,
        metavar="N",
        help="how many the circuit has; default: as many as bring back 90 %%",
    )
    sizes: tuple[int, ...] | None = option(
        "--sizes",
        type=whole_numbers,
        metavar="A,B,...",
        help="numbers of edges to try; default: from one in a hundred to all",
    )
    controls: int = option(
        "--controls",
        type=count,
        default=20,
        metavar="N",
        help="random circuits of each size, for comparison; default: 20",
    )


CIRCUIT = Command(
    purpose="which parts of a language model speak to which to give an answer",
    description=_CIRCUIT_ABOUT,
    examples=_CIRCUIT_EXAMPLES,
    groups=(LanguageOptions, PromptOptions, EdgesOptions, SeedOptions, OutputOptions),
)

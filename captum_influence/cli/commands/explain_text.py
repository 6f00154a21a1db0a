"""``captum-influence explain-text``: why a language model said what it said about a prompt."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

from captum_influence.attr.paths import LinearPath
from captum_influence.cli.groups import Command, Group, count, option
from captum_influence.cli.inputs import chosen_device
from captum_influence.cli.options import NetworkOptions, OutputOptions, SeedOptions
from captum_influence.cli.output import Report
from captum_influence.data.labels import read_class_names
from captum_influence.explanations.texts.find import explain_text
from captum_influence.explanations.texts.result import TextExplanation
from captum_influence.network.torchvision_operators import declare_operators

__all__ = ["COMMAND"]

_DESCRIPTION = """\
Find the tokens, heads and neurons that made a network of transformers say what it says about a
prompt, and replace them: by what they are in another prompt, or by zero. --model is a folder that
save_pretrained wrote, with its tokenizer, or a name on the Hugging Face hub."""

_EXAMPLES = """\
examples:
  captum-influence explain-text --model gpt2/ --target " Mary" --versus " John" \\
      --prompt "When Mary and John left, John gave a book to" \\
      --against "When Anna and John left, John gave a book to"
  captum-influence explain-text --model sentiment/ --prompt "a fine film" --target positive"""


@dataclass(frozen=True, kw_only=True)
class PromptOptions(Group):
    """What is asked of which text."""

    title: ClassVar[str] = "question"

    prompt: str | None = option("--prompt", metavar="TEXT", help="what to ask about; required")
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


def run(
    network: NetworkOptions, question: PromptOptions, seed: SeedOptions, output: OutputOptions
) -> None:
    """Explain the prompt, write it, and say what was found.

    Raises:
        ImportError: if transformers isn't installed.
        ValueError: if options are missing.
    """
    if network.model is None or question.prompt is None:
        raise ValueError("expected --model FOLDER, as save_pretrained writes it, and --prompt TEXT")
    if network.weights is not None:
        raise ValueError("expected no --weights: --model is a folder that holds them")
    report = Report.claim(output, TextExplanation)
    model, tokenizer = _loaded(network.model)
    found = explain_text(
        model.to(chosen_device(network.device)),
        tokenizer,
        question.prompt,
        question.target,
        question.against,
        versus=question.versus,
        distribution=None if question.points is None else LinearPath(n=question.points),
        top=question.top,
        class_names=None if network.labels is None else read_class_names(network.labels),
        seed=seed.seed,
        show_progress=output.show_progress,
    )
    report.write(found)


def _loaded(place: str) -> tuple[Any, Any]:
    """Return the network, as its own configuration names it, and its tokenizer."""
    declare_operators()  # transformers imports torchvision
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise ImportError("explain-text takes transformers: pip install transformers") from error
    config = transformers.AutoConfig.from_pretrained(place)
    named = getattr(config, "architectures", None) or []
    if len(named) != 1 or not hasattr(transformers, named[0]):
        raise ValueError(
            f"expected a model whose config names its class, got {named} in {place!r}: save it by "
            "save_pretrained"
        )
    model = getattr(transformers, named[0]).from_pretrained(place)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(place)


COMMAND = Command(
    description=_DESCRIPTION,
    examples=_EXAMPLES,
    groups=(NetworkOptions, PromptOptions, SeedOptions, OutputOptions),
    run=run,
)

"""``captum-influence explain-text``: why a language model said what it said about a prompt."""

from __future__ import annotations

from captum_influence.attr.paths import LinearPath
from captum_influence.cli.options import OutputOptions, SeedOptions
from captum_influence.cli.output import Report
from captum_influence.cli.prompts import LanguageModel, demo_prompt
from captum_influence.cli.syntax.texts import LanguageOptions, PromptOptions, TokensOptions
from captum_influence.data.labels import read_class_names
from captum_influence.explanations.texts.find import explain_text
from captum_influence.explanations.texts.result import TextExplanation

__all__ = ["run"]


def run(
    network: LanguageOptions,
    question: PromptOptions,
    units: TokensOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Explain the prompt, write it, and say what was found.

    Raises:
        ImportError: if transformers isn't installed, and a network of it is asked about.
        ValueError: if options are missing.
    """
    if network.model is None and question.prompt is None:
        question = demo_prompt(question)
    if question.prompt is None:
        raise ValueError("expected --prompt TEXT beside --model, got none")
    report = Report.claim(output, TextExplanation)
    asked = LanguageModel.of(network)
    found = explain_text(
        asked.model,
        asked.tokenizer,
        question.prompt,
        question.target,
        question.against,
        versus=question.versus,
        distribution=None if units.points is None else LinearPath(n=units.points),
        top=units.top,
        class_names=None if network.labels is None else read_class_names(network.labels),
        seed=seed.seed,
        show_progress=output.show_progress,
    )
    report.write(found)

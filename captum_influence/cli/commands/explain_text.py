"""``captum-influence explain-text``: why a language model said what it said about a prompt."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

from captum_influence.attr.paths import LinearPath
from captum_influence.cli.inputs import chosen_device
from captum_influence.cli.options import NetworkOptions, OutputOptions, SeedOptions
from captum_influence.cli.output import Report
from captum_influence.cli.syntax.texts import PromptOptions
from captum_influence.data.labels import read_class_names
from captum_influence.demo.phrase_net import PhraseTokenizer, load_phrase_network
from captum_influence.explanations.texts.find import explain_text
from captum_influence.explanations.texts.result import TextExplanation
from captum_influence.network.torchvision_operators import declare_operators

__all__ = ["run"]

PROMPT = "Anna Mary John Ben Clara Anna Mary"  # goes on as it did before: John
AGAINST = "Anna Mary Leo Ben Clara Anna Mary"


def run(
    network: NetworkOptions, question: PromptOptions, seed: SeedOptions, output: OutputOptions
) -> None:
    """Explain the prompt, write it, and say what was found.

    Raises:
        ImportError: if transformers isn't installed, and a network of it is asked about.
        ValueError: if options are missing.
    """
    if network.model is None and question.prompt is None:
        question = _demo(question)
    if question.prompt is None:
        raise ValueError("expected --prompt TEXT beside --model, got none")
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


def _demo(question: PromptOptions) -> PromptOptions:
    """Return what the demo network is asked: why it goes on as the text did before."""
    if given := question.given("against", "target", "versus"):
        raise ValueError(
            f"expected --prompt beside {', '.join(given)}, got none: add it, in names that the "
            "demo network knows, or leave them out"
        )
    return replace(question, prompt=PROMPT, against=AGAINST, target="John", versus="Leo")


def _loaded(place: str | None) -> tuple[Any, Any]:
    """Return the network, as its own configuration names it, and its tokenizer; None: the demo."""
    if place is None:
        return load_phrase_network(), PhraseTokenizer()
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

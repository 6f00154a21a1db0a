"""``captum-influence explain-text``: why a language model said what it said about a prompt."""

from __future__ import annotations

import importlib
from typing import Any

from captum_influence.attr.paths import LinearPath
from captum_influence.cli.inputs import chosen_device
from captum_influence.cli.options import NetworkOptions, OutputOptions, SeedOptions
from captum_influence.cli.output import Report
from captum_influence.cli.syntax.texts import PromptOptions
from captum_influence.data.labels import read_class_names
from captum_influence.explanations.texts.find import explain_text
from captum_influence.explanations.texts.result import TextExplanation
from captum_influence.network.torchvision_operators import declare_operators

__all__ = ["run"]


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

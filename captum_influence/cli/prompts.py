"""What is asked of which text, from the shell's words: a language model and a prompt."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import Any

from torch.nn import Module

from captum_influence.cli.inputs import chosen_device
from captum_influence.cli.syntax.texts import LanguageOptions, PromptOptions
from captum_influence.demo.phrase_net import PhraseTokenizer, load_phrase_network
from captum_influence.network.torchvision_operators import declare_operators

__all__ = ["LanguageModel", "demo_prompt"]

PROMPT = "Anna Mary John Ben Clara Anna Mary"  # goes on as it did before: John
AGAINST = "Anna Mary Leo Ben Clara Anna Mary"


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A network that reads text.

    Attributes:
        model: in eval mode, on its device.
        tokenizer: turns a text into what it reads.
    """

    model: Module
    tokenizer: Any

    @staticmethod
    def of(options: LanguageOptions) -> LanguageModel:
        """Return the network that the options name; without ``--model``, the embedded demo's.

        Raises:
            ImportError: if transformers isn't installed, and a network of it is asked about.
            ValueError: if it isn't known what class the network has.
        """
        if options.model is None:
            model: Module = load_phrase_network()
            tokenizer: Any = PhraseTokenizer()
        else:
            model, tokenizer = _pretrained(options.model.removeprefix("hf:"))
        return LanguageModel(model.to(chosen_device(options.device)), tokenizer)


def demo_prompt(question: PromptOptions) -> PromptOptions:
    """Return what the demo network is asked if nothing is: why it goes on as the text did before.

    Raises:
        ValueError: if something is asked, but of no prompt.
    """
    if given := question.given("against", "target", "versus"):
        raise ValueError(
            f"expected --prompt beside {', '.join(given)}, got none: leave them out, or ask in "
            f'names that the demo network knows: --prompt "{PROMPT}" --against "{AGAINST}" '
            "--target John"
        )
    return replace(question, prompt=PROMPT, against=AGAINST, target="John", versus="Leo")


def _pretrained(place: str) -> tuple[Module, Any]:
    """Return the network, as its own configuration names it, and its tokenizer.

    Raises:
        ImportError: if transformers isn't installed.
        ValueError: if it is of another library, or it isn't known what class it has.
    """
    if place.startswith(("torchvision:", "timm:", "hub:")) or ".py:" in place:
        raise ValueError(
            f"expected a network of text as --model, a folder that save_pretrained wrote or a name "
            f"on the Hugging Face hub, got {place!r}: networks of pictures are for explain"
        )
    declare_operators()  # transformers imports torchvision
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise ImportError(
            "a --model of text takes transformers: pip install transformers"
        ) from error
    config = transformers.AutoConfig.from_pretrained(place)
    named = getattr(config, "architectures", None) or []
    if len(named) != 1 or not hasattr(transformers, named[0]):
        raise ValueError(
            f"expected a model whose config names its class, got {named} in {place!r}: save it by "
            "save_pretrained"
        )
    model = getattr(transformers, named[0]).from_pretrained(place)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(place)

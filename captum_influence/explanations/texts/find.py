"""Why a language model said what it said: which tokens, heads and neurons made it say this."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.labels import Names
from captum_influence.explanations.texts.result import TextExplanation
from captum_influence.explanations.texts.study import Study
from captum_influence.network.inputs import network_of
from captum_influence.network.outputs import Output
from captum_influence.reports.asked import Asked
from captum_influence.units.given import names_of
from captum_influence.units.options import check_options, collected
from captum_influence.units.prompts.contributed import contributions, started
from captum_influence.units.prompts.prompt import Prompt, passing
from captum_influence.units.prompts.question import PromptQuestion
from captum_influence.units.prompts.sites import Kind, Sites

__all__ = ["TextOptions", "explain_text"]

_KINDS: tuple[Kind, ...] = ("token", "head", "neuron")


class TextOptions(TypedDict, total=False):
    """What :func:`explain_text` takes by keyword: names of classes, and the fields of :class:`Run`.

    ``class_names``: of a classifier; None: those of the network's own ``config.id2label``, if it
    has one. ``run=`` takes a :class:`Run` whole.
    """

    class_names: Names
    internal_batch_size: int | None
    seed: int
    show_progress: bool
    output: Output
    run: Run


def explain_text(
    model: nn.Module,
    tokenizer: Any,
    prompt: str,
    quantity: Quantity | int | str | None = None,
    against: str | None = None,
    *,
    versus: int | str | None = None,
    distribution: Distribution | None = None,
    top: int = 5,
    **options: Unpack[TextOptions],
) -> TextExplanation:
    r"""Find the tokens, heads and neurons that made a language model say it, and replace them.

    A unit's contribution :math:`\chi_j \cdot (z_j(x) - z_j(x'))`, summed over what belongs to it,
    estimates what the quantity loses when its activation is replaced by that of another prompt
    :math:`x'`, or by zero. To the units with the largest estimates, with either sign, and to as
    many random ones, this is done, so that estimate and effect stand side by side.

    Args:
        model: the network: BERT, GPT-2, Llama or one like them, in eval mode; nothing of it
            changes.
        tokenizer: called with a text, it returns a mapping with ``input_ids``; tokens are shown by
            its ``decode``, if it has one.
        prompt: the text.
        quantity: a quantity, as ``NextToken(" Mary") - NextToken(" John")``; a token, or of a
            classifier a class, by number or name; None: what the network predicts.
        against: another prompt of as many tokens, which differs in what the question is about;
            None: activations are compared with zero.
        versus: another token or class: why the former rather than this one?
        distribution: over which activations; None: at the prompt, :class:`Point`, the better
            estimate of single units. A path, as ``LinearPath(n=16)``, runs at every layer from the
            other prompt's activations: the columns of the map then add up.
        top: how many tokens, heads and neurons are shown.
        options: see :class:`TextOptions`.

    Raises:
        ValueError: if prompts differ in length, or the network has no attention, or draws at
            random.

    Example:
        >>> from torch import nn
        >>> words = ["Mary", "and", "John", "left"]
        >>> tokenizer = lambda text: {"input_ids": [words.index(word) for word in text.split()]}
        >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
        >>> parts = [nn.Embedding(4, 8), nn.TransformerEncoder(layer, 2), nn.Linear(8, 4)]
        >>> model = nn.Sequential(*parts).eval()
        >>> found = explain_text(model, tokenizer, "Mary and John", against="Mary and Mary")
        >>> found.map.shape, found.heads.shape
        (torch.Size([3, 3]), torch.Size([2, 2]))
    """
    asked, began = Asked.of(explain_text, locals()), time.perf_counter()
    check_options("explain_text", options, TextOptions)
    run: Run = collected("explain_text", "run", Run, options)
    if top < 1:
        raise ValueError(f"expected top as a positive number, got {top}")
    network = network_of(model, run.output)
    names = options.get("class_names") or names_of(network)
    with run.seeded():
        text = Prompt.of(network, tokenizer, prompt, against)
        question = partial(PromptQuestion.of, quantity, prompt=text, names=names, versus=versus)
        said = _measured(network, text, question, distribution, top, run)
    return TextExplanation(
        asked=asked,
        network=type(network).__name__,
        prompt=prompt,
        against=against,
        seconds=time.perf_counter() - began,
        **said,
    )


def _measured(
    network: nn.Module,
    prompt: Prompt,
    question: Callable[..., PromptQuestion],
    distribution: Distribution | None,
    top: int,
    run: Run,
) -> dict[str, Any]:
    """Return what was measured, by the names of the finding's attributes."""
    sites = Sites.of(network, prompt.inputs, len(prompt.tokens))
    output, activations = passing(network, prompt.inputs, cuts=[site.cut for site in sites.all])
    asked = question(output=output)
    study = Study.of(network, prompt, sites, asked, output, activations, run)
    over = started(distribution, prompt)
    found = contributions(network, prompt, sites.all, asked.quantity, over, run)
    estimates = dict(zip(sites.all, found, strict=True))
    stream = [(site, site.pooled(estimates[site])) for site in sites.stream]
    whole = study.patching.lost([[(s, unit) for unit in range(s.count)] for s in sites.stream])
    patched = [study.patched(kind, estimates, top, run.seed) for kind in _KINDS]
    return {
        "quantity": asked.words,
        "predictions": asked.predictions,
        "value": study.patching.value,
        "tokens": prompt.tokens,
        "others": prompt.others,
        "layers": tuple(site.layer for site in sites.stream),
        "map": torch.stack([values.double().cpu() for _, values in stream], dim=1),
        "changes": tuple(whole.tolist()),
        "heads": _grid([site.pooled(estimates[site]) for site in sites.heads]),
        "patched": tuple(one for one in patched if one is not None),
        "facts": {
            "distribution": over.in_words(),
            "points": over.size,
            "dtype": str(activations[0].dtype).removeprefix("torch."),
            "device": str(activations[0].device),
        },
    }


def _grid(rows: list[Tensor]) -> Tensor:
    """Return values of every layer as one tensor (layers, units), NaN where a layer has fewer."""
    grid = torch.full((len(rows), max(map(len, rows))), torch.nan, dtype=torch.float64)
    for line, row in enumerate(rows):
        grid[line, : len(row)] = row.double().cpu()
    return grid

"""Prompts of several lengths, in all forms in which loaders yield them, and hooks on each alone."""

from __future__ import annotations

from typing import Any

import torch
import transformed
from torch import Tensor, nn

KINDS = ("BERT", "GPT-2", "Llama")
FORMS = ("right", "left", "dict", "lists", "single", "alike")
# Llama's norms compute in float32, whose sums round with the rows of a batch.
TOLERANCE = {"BERT": 1e-12, "GPT-2": 1e-12, "Llama": 1e-6}
LABELS = [0, 1, 1, 0, 2, 0]
LENGTHS = (6, 4, 6, 3, 5, 4)


def prompts(
    kind: str, lengths: tuple[int, ...] = LENGTHS, seed: int = 0
) -> list[dict[str, Tensor]]:
    """Return prompts without pads, (1, tokens) each."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for length in lengths:
        one = {"input_ids": torch.randint(1, 38, (1, length), generator=generator)}
        if kind == "BERT":
            one["token_type_ids"] = (torch.arange(length)[None] >= length // 2).long()
        found.append(one)
    return found


def loader(form: str, given: list[dict[str, Tensor]], labels: list[Any]) -> list[Any]:
    """Return the same prompts as a loader may yield them."""
    if form == "lists":  # as tokenizers return several texts
        rows = {name: [one[name][0].tolist() for one in given] for name in given[0]}
        return [(rows, labels)]
    if form == "single":
        pairs = zip(given, labels, strict=True)
        return [({n: x[0].tolist() for n, x in one.items()}, label) for one, label in pairs]
    if form == "alike":  # a batch for each length, without a mask
        lengths = [one["input_ids"].shape[1] for one in given]
        groups = [[i for i, n in enumerate(lengths) if n == size] for size in set(lengths)]
        return [
            ({n: torch.cat([given[i][n] for i in own]) for n in given[0]}, [labels[i] for i in own])
            for own in groups
        ]
    halves = [slice(start, start + 4) for start in range(0, len(given), 4)]
    batches = [_padded(given[half], left=form == "left") for half in halves]
    told = [labels[half] for half in halves]
    if form == "dict":  # as a collator makes it
        return [{**b, "labels": torch.tensor(own)} for b, own in zip(batches, told, strict=True)]
    return list(zip(batches, told, strict=True))


def _padded(given: list[dict[str, Tensor]], left: bool) -> dict[str, Tensor]:
    longest = max(one["input_ids"].shape[1] for one in given)
    found: dict[str, list[Tensor]] = {}
    for one in given:
        for name, x in {**one, "attention_mask": torch.ones_like(one["input_ids"])}.items():
            pads = torch.full((longest - x.shape[1],), 0 if name != "input_ids" else 39)
            row = torch.cat([pads, x[0]] if left else [x[0], pads])
            found.setdefault(name, []).append(row)
    return {name: torch.stack(rows) for name, rows in found.items()}


def scores_of(model: nn.Module, one: dict[str, Tensor]) -> Tensor:
    """Return the scores of a prompt's classes, or of its next token: (1, ...)."""
    returned = model(**one)
    found: Tensor = returned if isinstance(returned, Tensor) else returned.logits
    return found[:, -1] if found.ndim == 3 else found


def hooked(
    model: nn.Module, name: str, one: dict[str, Tensor], target: int
) -> tuple[Tensor, Tensor]:
    """Return what a module returns for one prompt alone, and the gradient of a score there."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)

    handle = model.get_submodule(name).register_forward_hook(keep)
    with torch.enable_grad():
        score = scores_of(model, one)[0, target]
        (gradient,) = torch.autograd.grad(score, kept[0])
    handle.remove()
    return kept[0].detach()[0], gradient[0]  # (tokens, features)


def changed(
    model: nn.Module, name: str, one: dict[str, Tensor], gone: list[int], instead: Tensor
) -> Tensor:
    """Return the scores of one prompt with some features of a module replaced at every token."""

    def replace(module: nn.Module, args: Any, output: Any) -> Any:
        whole = (output[0] if isinstance(output, tuple) else output).clone()
        whole[..., gone] = instead.expand_as(whole)[..., gone]
        return (whole, *output[1:]) if isinstance(output, tuple) else whole

    handle = model.get_submodule(name).register_forward_hook(replace)
    with torch.no_grad():
        found = scores_of(model, one)
    handle.remove()
    return found


def block(kind: str) -> str:
    return transformed.BLOCKS[kind][0]

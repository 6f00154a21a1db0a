"""A small word tokenizer, small language models, and units replaced by hand-written hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformed
from attending import reader
from torch import Tensor, nn

WORDS = "the a Mary John Anna and when left gave took book to of in it , . he she was".split()
CLEAN = "when Mary and John left , John gave the book to"
CORRUPTED = "when Anna and John left , John gave the book to"


class WordTokenizer:
    """Words by their numbers; a word that it doesn't know is an error."""

    def __call__(self, text: str) -> dict[str, Any]:
        return {"input_ids": [WORDS.index(word) for word in text.split()]}

    def decode(self, ids: list[int]) -> str:
        return " ".join(WORDS[i] if i < len(WORDS) else "?" for i in ids)


# Which module reads the heads, and which reads the neurons, of each block.
PARTS = {
    "plain": [(f"blocks.{i}.attention.out", f"blocks.{i}.down") for i in (0, 1)],
    "GPT-2": [(f"transformer.h.{i}.attn.c_proj", f"transformer.h.{i}.mlp.c_proj") for i in (0, 1)],
    "Llama": [
        (f"model.layers.{i}.self_attn.o_proj", f"model.layers.{i}.mlp.down_proj") for i in (0, 1)
    ],
    "BERT": [
        (f"bert.encoder.layer.{i}.attention.output.dense", f"bert.encoder.layer.{i}.output.dense")
        for i in (0, 1)
    ],
}
HEADS = {"plain": 4, "GPT-2": 2, "Llama": 2, "BERT": 2}
# Norms that compute in float32 whatever they are given.
TOLERANCE = {"plain": 1e-12, "GPT-2": 1e-12, "Llama": 5e-7, "BERT": 1e-12}


def network(kind: str) -> nn.Module:
    """Return a small network, float64, in eval mode."""
    return reader() if kind == "plain" else transformed.built(kind)


def scores(model: nn.Module, text: str, rows: int = 1) -> Tensor:
    """Return the scores that are read: of the next token, or of classes."""
    ids = torch.tensor([WordTokenizer()(text)["input_ids"]] * rows)
    if "input_ids" in model.forward.__code__.co_varnames or hasattr(model, "config"):
        found = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    else:
        found = model(ids)
    return found[:, -1] if found.ndim == 3 else found


def given_to(model: nn.Module, name: str, text: str) -> tuple[Tensor, Tensor]:
    """Return what a module is given, and the gradient of score 2 − score 1 there, by a hook."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: Any) -> Any:
        kept.append(args[0].detach().requires_grad_())
        return (kept[0], *args[1:])

    handle = model.get_submodule(name).register_forward_pre_hook(keep)
    with torch.enable_grad():
        found = scores(model, text)
        (gradient,) = torch.autograd.grad((found[:, 2] - found[:, 1]).sum(), kept[0])
    handle.remove()
    return kept[0].detach(), gradient


def patched(
    model: nn.Module, name: str, change: Callable[[Tensor], Tensor], text: str = CLEAN
) -> float:
    """Return score 2 − score 1 with changed inputs of a module, by a hook."""
    handle = model.get_submodule(name).register_forward_pre_hook(
        lambda module, args: (change(args[0].clone()), *args[1:])
    )
    with torch.no_grad():
        found = scores(model, text)
    handle.remove()
    return float(found[0, 2] - found[0, 1])

"""The anatomy of transformers' own networks, and what their heads and neurons do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformed
from torch import Tensor

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Function
from captum_influence.network.anatomy.anatomy import Anatomy

GRID = [(kind, how) for kind in transformed.KINDS for how in ("eager", "sdpa")]
BLOCKS = {"T5": 4, "CLIP": 4}
ENTERING = {
    "BERT": "bert.embeddings",
    "GPT-2": "transformer.drop",
    "Llama": "model.embed_tokens",
    "Qwen3": "model.embed_tokens",
    "ViT": "vit.embeddings",
}


def value(output: Any) -> Tensor:
    scores = output.logits if hasattr(output, "logits") else transformed.similarity(output)
    return scores.reshape(len(scores), -1)[:, -1]


@pytest.mark.parametrize(("kind", "how"), GRID)
def test_parts_are_found_and_heads_add_up(kind: str, how: str) -> None:
    model, batch = transformed.built(kind, how), transformed.batch(kind)
    anatomy = Anatomy.of(model, batch)
    assert len(anatomy.blocks) == BLOCKS.get(kind, 2)
    assert {attention.heads for attention in anatomy.attentions} == {2}
    assert all(block.neurons is not None for block in anatomy.blocks)
    if kind in ENTERING:
        assert anatomy.embedding.module == ENTERING[kind]
    shared = {attention.key_heads for attention in anatomy.attentions}
    assert shared == ({1} if kind in ("Llama", "Qwen3") else {2})


@pytest.mark.parametrize(("kind", "how"), [pair for pair in GRID if pair[0] != "Swin"])
def test_influences_of_heads_and_neurons_are_those_of_hooks_by_hand(kind: str, how: str) -> None:
    model, batch = transformed.built(kind, how), transformed.batch(kind)
    block = Anatomy.of(model, batch).blocks[0]
    assert block.neurons is not None
    modules = dict(model.named_modules())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for cut in (block.attentions[0].cut, block.neurons.cut):
        measure = DistributionalInfluence(
            model, cut, distribution=Point(), quantity=Function(value)
        )
        found = measure.attribute(batch)
        entering: list[Tensor] = []

        def keep(module: Any, args: tuple[Tensor, ...], kept: list[Tensor] = entering) -> None:
            kept.append(args[0].requires_grad_())

        handle = modules[str(cut.module)].register_forward_pre_hook(keep)
        scores = value(model(**batch)).sum()
        handle.remove()
        expected = torch.autograd.grad(scores, entering[0])[0]
        tolerance = 5e-7 if kind in transformed.CAST else 1e-12
        gap = float((found - expected).abs().max())
        assert gap <= tolerance * max(float(expected.abs().max()), 1.0)


def test_heads_of_windows_are_refused_in_words() -> None:
    model, batch = transformed.built("Swin", "sdpa"), transformed.batch("Swin")
    cut = Anatomy.of(model, batch).attentions[0].cut
    with pytest.raises(ValueError, match="first dimension"):
        DistributionalInfluence(
            model, cut, distribution=Point(), quantity=Function(value)
        ).attribute(batch)

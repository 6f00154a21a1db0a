"""Tiny transformers of transformers' own classes, and batches for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

VOCABULARY, CLASSES = 40, 3
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
LLAMA = {**SIZES, "num_key_value_heads": 1, "max_position_embeddings": 32, "head_dim": 8}
SEES = {**SIZES, "image_size": 16, "patch_size": 8}
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "bos_token_id": 0}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [2, 1], "num_heads": [2, 2]}
READS = {**SIZES, "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 39}
LABELS = {"num_labels": CLASSES}

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "BERT": ("BertForSequenceClassification", "BertConfig", {**SIZES, **LABELS}),
    "GPT-2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {**GPT2, "vocab_size": VOCABULARY, "eos_token_id": 0},
    ),
    "Llama": ("LlamaForCausalLM", "LlamaConfig", LLAMA),
    "Qwen3": ("Qwen3ForCausalLM", "Qwen3Config", LLAMA),
    "T5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {**T5, "vocab_size": VOCABULARY, "decoder_start_token_id": 0},
    ),
    "ViT": ("ViTForImageClassification", "ViTConfig", {**SEES, **LABELS}),
    "Swin": ("SwinForImageClassification", "SwinConfig", {**SWIN, "window_size": 4, **LABELS}),
    "CLIP": (
        "CLIPModel",
        "CLIPConfig",
        {"text_config": READS, "vision_config": SEES, "projection_dim": 8},
    ),
}
BLOCKS = {
    "BERT": ("bert.encoder.layer.0", "bert.encoder.layer.1"),
    "GPT-2": ("transformer.h.0", "transformer.h.1"),
    "Llama": ("model.layers.0", "model.layers.1"),
    "Qwen3": ("model.layers.0", "model.layers.1"),
    "T5": ("encoder.block.0", "encoder.block.1"),
    "ViT": ("vit.layers.0", "vit.layers.1"),
    "Swin": ("swin.encoder.layers.0.blocks.0", "swin.encoder.layers.1.blocks.0"),
    "CLIP": ("text_model.encoder.layers.0", "text_model.encoder.layers.1"),
}
EMBEDDINGS = {
    "BERT": "bert.embeddings.word_embeddings",
    "GPT-2": "transformer.wte",
    "Llama": "model.embed_tokens",
    "Qwen3": "model.embed_tokens",
    "T5": "encoder.embed_tokens",
    "CLIP": "text_model.embeddings.token_embedding",
}
# In float32, whatever the network's precision: norms; a softmax that is written out.
CAST = {(kind, how) for kind in ("Llama", "Qwen3", "T5") for how in ("eager", "sdpa")}
CAST |= {(kind, "eager") for kind in ("ViT", "Swin", "CLIP")}


def built(kind: str, attention: str = "eager") -> nn.Module:
    """Return a network with weights large enough that nothing is nearly linear."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    model, config, settings = KINDS[kind]
    torch.manual_seed(len(kind))
    made = getattr(transformers, model)(getattr(transformers, config)(**settings))
    made.set_attn_implementation(attention)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return made.double().eval()


def batch(kind: str, examples: int = 2, length: int = 6, seed: int = 0) -> dict[str, Tensor]:
    """Return inputs as a tokenizer or an image processor makes them."""
    generator = torch.Generator().manual_seed(seed)

    def ids(size: int = length) -> Tensor:
        return torch.randint(1, VOCABULARY - 2, (examples, size), generator=generator)

    def pixels(size: int) -> Tensor:
        return torch.randn(examples, 3, size, size, generator=generator, dtype=torch.float64)

    if kind in ("ViT", "Swin"):
        return {"pixel_values": pixels(16 if kind == "ViT" else 32)}
    found = {"input_ids": ids(), "attention_mask": torch.ones(examples, length, dtype=torch.long)}
    if kind == "T5":
        found["decoder_input_ids"] = ids(3)
    if kind == "CLIP":
        found["input_ids"][:, -1] = 39  # where the text is read
        found["pixel_values"] = pixels(16)
    return found


def moved(kind: str, given: dict[str, Tensor]) -> str:
    """Return the name of the input that is corrupted."""
    return "input_ids" if "input_ids" in given else "pixel_values"


def corrupted(kind: str, given: dict[str, Tensor], seed: int = 1) -> dict[str, Tensor]:
    """Return other inputs in place of these: one other token or picture for each example."""
    other, name = batch(kind, len(next(iter(given.values()))), seed=seed), moved(kind, given)
    changed = given[name].clone()
    if name == "input_ids":
        changed[:, 2:4] = other[name][:, 2:4]
    else:
        changed = other[name]
    return {**given, name: changed}


Scores = Callable[[Any], Tensor]


def similarity(output: Any) -> Tensor:
    """Return how alike each text and its picture are, which CLIP's logits say of all pairs."""
    return (output.text_embeds * output.image_embeds).sum(-1)

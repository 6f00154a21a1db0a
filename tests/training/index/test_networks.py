"""Indexes of the networks that people have: small ones of timm, torchvision and transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from captum_influence import LayerInfluence
from captum_influence.network.torchvision_operators import declare_operators

declare_operators()  # a torchvision without its own doesn't import, nor timm and transformers then
timm = pytest.importorskip("timm", reason="timm is not installed")
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

EXAMPLES, QUERIES, CLASSES, VOCABULARY, LENGTH = 24, 3, 3, 20, 6
SEES = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "num_classes": CLASSES}
HEARS = {"image_size": 16, "patch_size": 8, "hidden_dim": 16, "mlp_dim": 24}
READS = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
    "head_dim": 8,
}
GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": VOCABULARY}


class NextTokens(nn.Module):
    """A language model's scores of every next token, (batch, vocabulary, positions)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1]).expand(len(ids), -1)  # one row would count no example
        return self.model(input_ids=ids, position_ids=places, use_cache=False).logits.mT


def _residual(block: str, *channels: int) -> nn.Module:
    kind = getattr(timm.models.resnet, block)
    return timm.models.resnet.ResNet(kind, (1, 1, 1, 1), channels=channels, num_classes=CLASSES)


def _llama() -> nn.Module:
    return NextTokens(transformers.LlamaForCausalLM(transformers.LlamaConfig(**READS)))


def _gpt2() -> nn.Module:
    return NextTokens(transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[str] | None]] = {
    "ResNet-18": (lambda: _residual("BasicBlock", 8, 16, 16, 16), None),
    "ResNet-50": (lambda: _residual("Bottleneck", 4, 4, 8, 8), None),
    "timm's ViT": (
        lambda: timm.models.vision_transformer.VisionTransformer(**SEES, depth=2, num_heads=2),
        None,
    ),
    "torchvision's ViT": (
        lambda: torchvision.models.VisionTransformer(
            **HEARS, num_layers=2, num_heads=2, num_classes=CLASSES
        ),
        ["conv_proj", "encoder.layers", "encoder.ln", "heads"],
    ),
    "Llama": (_llama, None),
    "GPT-2": (_gpt2, None),
}


def _problem(name: str) -> tuple[LayerInfluence, tuple[Tensor, Tensor]]:
    """Return the influence in a network whose weights are neither zero nor one, and queries."""
    torch.manual_seed(0)
    made, layers = NETWORKS[name]
    model = made().double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, float(parameter.ndim == 1), 0.3)
    if isinstance(model, NextTokens):
        ids = torch.randint(0, VOCABULARY, (EXAMPLES + QUERIES, LENGTH + 1))
        x, y = ids[:, :-1], ids[:, 1:].clone()
        y[::2, -2:] = -100  # padded
    else:
        x = torch.randn(EXAMPLES + QUERIES, 3, 16, 16, dtype=torch.float64)
        y = torch.randint(0, CLASSES, (EXAMPLES + QUERIES,))
    influence = LayerInfluence(
        model,
        TensorDataset(x[QUERIES:], y[QUERIES:]),
        layers=layers,
        loss_fn=nn.CrossEntropyLoss(),
        fisher="sampled",
        batch_size=8,
        skip_unsupported=True,
    )
    return influence, (x[:QUERIES], y[:QUERIES])


@pytest.mark.parametrize("name", NETWORKS)
def test_its_scores_are_the_exact_ones(name: str, tmp_path: Path) -> None:
    influence, queries = _problem(name)
    wanted = influence.influence(queries)
    index = influence.index(tmp_path / "whole", dimension=None, dtype=torch.float64)
    close = {"rtol": 1e-9, "atol": 1e-12 * float(wanted.abs().max())}
    torch.testing.assert_close(index.scores(queries), wanted, **close)
    index = influence.index(tmp_path / "short", dimension=16)
    found = index.top(queries, 4, rerank=EXAMPLES)
    assert torch.equal(found.indices, wanted.topk(4).indices)
    torch.testing.assert_close(found.influence_scores, wanted.topk(4).values, **close)


@pytest.mark.parametrize("name", ["Llama", "GPT-2", "ResNet-18", "ResNet-50"])
def test_nothing_but_tied_weights_is_left_out(name: str) -> None:
    influence, _ = _problem(name)
    reasons = [why for why in influence.skipped.values() if "are those of" not in why]
    assert not reasons


def test_one_token_of_a_query_may_be_asked_for(tmp_path: Path) -> None:
    """A loss over positions is the mean of the tokens' own, so its scores are too."""
    influence, (ids, target) = _problem("Llama")
    index = influence.index(tmp_path, dimension=None, dtype=torch.float64)
    tokens = []
    for place in range(4):  # the last two are padded in some
        alone = torch.full_like(target, -100)
        alone[:, place] = target[:, place]
        tokens.append(index.scores((ids, alone)))
    first = target.clone()
    first[:, 4:] = -100
    close = {"rtol": 1e-4, "atol": 1e-5}  # Llama's norms calculate in float32
    torch.testing.assert_close(torch.stack(tokens).mean(0), index.scores((ids, first)), **close)

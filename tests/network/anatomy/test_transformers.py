"""The anatomy of transformers' own networks, and what their heads and neurons do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformed
from torch import Tensor, nn
from torch.nn import functional

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Function
from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.cuts import Cut

GRID = [(kind, how) for kind in transformed.KINDS for how in ("eager", "sdpa")]
BLOCKS = {"T5": 4, "CLIP": 4, "Swin": 3}
ENTERING = {
    "BERT": "bert.embeddings",
    "GPT-2": "transformer.drop",
    "Llama": "model.embed_tokens",
    "Qwen3": "model.embed_tokens",
    "ViT": "vit.embeddings",
    "Swin": "swin.embeddings.dropout",
}
SWIN = {"embed_dim": 8, "depths": [2, 1], "num_heads": [2, 2]}


def value(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output[:, -1]
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


@pytest.mark.parametrize(("kind", "how"), GRID)
def test_influences_of_heads_and_neurons_are_those_of_hooks_by_hand(kind: str, how: str) -> None:
    model, batch = transformed.built(kind, how), transformed.batch(kind)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for block in Anatomy.of(model, batch).blocks[:2]:  # Swin shifts the windows of its second
        assert block.neurons is not None
        for cut in (block.attentions[0].cut, block.neurons.cut):
            measure = DistributionalInfluence(
                model, cut, distribution=Point(), quantity=Function(value)
            )
            found, expected = measure.attribute(batch), _by_hooks(model, batch, cut)
            gap = float((found - expected.view_as(found)).abs().max())
            assert gap <= 1e-12 * max(float(expected.abs().max()), 1.0)


def _by_hooks(model: nn.Module, batch: dict[str, Tensor], cut: Cut) -> Tensor:
    """Return the slopes by what a module reads, as it reads it: of Swin, windows x examples."""
    entering: list[Tensor] = []

    def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        entering.append(args[0].requires_grad_())

    handle = model.get_submodule(str(cut.module)).register_forward_pre_hook(keep)
    scores = value(model(**batch)).sum()
    handle.remove()
    return torch.autograd.grad(scores, entering[0])[0]


def test_windows_are_counted_and_stages_grow() -> None:
    model, batch = transformed.built("Swin", "sdpa"), transformed.batch("Swin")
    anatomy = Anatomy.of(model, batch)
    assert [attention.windows for attention in anatomy.attentions] == [4, 4, 1]
    assert [block.width for block in anatomy.blocks] == [8, 8, 16]
    assert [stream.name[-8:] for stream in anatomy.streams] == ["0.blocks", "1.blocks"]
    assert "2 heads of 4 in 4 windows at" in str(anatomy)
    for cut in (*anatomy.writers, *anatomy.readers):
        measure = DistributionalInfluence(
            model, cut, distribution=Point(), quantity=Function(value)
        )
        assert measure.attribute(batch).shape[0] == 2


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_swin_of_other_libraries(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = transformed.batch("Swin")["pixel_values"]
    model = _swin(library).double().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    anatomy = Anatomy.of(model, picture)
    assert [attention.windows for attention in anatomy.attentions] == [4, 4, 1]
    for attention in anatomy.attentions:
        measure = DistributionalInfluence(
            model, attention.cut, distribution=Point(), quantity=Function(value)
        )
        found = measure.attribute(picture)
        expected = _by_function(model, picture, attention.output, monkeypatch)
        assert float((found - expected.view_as(found)).abs().max()) <= 1e-12


def _swin(library: str) -> nn.Module:
    torch.manual_seed(0)
    module = f"{library}.models.swin_transformer"
    swin = pytest.importorskip(module, reason=f"{library} is not installed").SwinTransformer
    if library == "timm":
        return swin(img_size=32, window_size=4, num_classes=3, **SWIN)  # type: ignore[no-any-return]
    return swin([4, 4], window_size=[4, 4], num_classes=3, **SWIN)  # type: ignore[no-any-return]


def _by_function(
    model: nn.Module, picture: Tensor, name: str, monkeypatch: pytest.MonkeyPatch
) -> Tensor:
    """Return the slopes by what ``linear`` is given beside a module's weight."""
    weight, linear = model.get_submodule(name).weight, functional.linear
    entering: list[Tensor] = []

    def keep(given: Tensor, other: Tensor, bias: Tensor | None = None) -> Tensor:
        if other is weight:
            entering.append(given.requires_grad_())
        return linear(given, other, bias)

    with monkeypatch.context() as patched:
        patched.setattr(functional, "linear", keep)
        score = value(model(picture)).sum()
    return torch.autograd.grad(score, entering[0])[0]


def test_heads_of_windows_that_are_not_counted_are_refused_in_words() -> None:
    model, batch = transformed.built("Swin", "sdpa"), transformed.batch("Swin")
    cut = Cut(Anatomy.of(model, batch).attentions[0].output, "input")
    with pytest.raises(ValueError, match=r"first dimension.*Cut\(layer, windows=4\)"):
        DistributionalInfluence(
            model, cut, distribution=Point(), quantity=Function(value)
        ).attribute(batch)

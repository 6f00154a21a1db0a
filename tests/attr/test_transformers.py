"""Networks of transformers, through the door that their users come by, against hooks by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformed
from torch import Tensor, nn

from captum_influence.attr.distributions import Baselines, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quantities import ClassScore, Function, Quantity
from captum_influence.network.cuts import Cut

GRID = [(kind, how) for kind in transformed.KINDS for how in ("eager", "sdpa")]


def _question(kind: str) -> tuple[Quantity, Callable[[Any], Tensor]]:
    """Return a quantity, and what it is of the output, written out."""
    if kind in ("BERT", "ViT", "Swin"):
        return ClassScore(1), lambda output: output.logits[:, 1]
    if kind == "CLIP":
        return Function(transformed.similarity), transformed.similarity
    difference = NextToken(3) - NextToken(5)
    return difference, lambda output: output.logits[:, -1, 3] - output.logits[:, -1, 5]


def _gradients(
    model: nn.Module,
    names: list[str],
    value: Callable[[Any], Tensor],
    given: dict[str, Tensor],
    embedding: str = "",
    put: Tensor | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return what leaves modules, and the gradients there, with hooks that are written by hand.

    ``put`` takes the place of what the embedding returns, or of the picture.
    """
    kept: dict[str, Tensor] = {}
    modules, handles = dict(model.named_modules()), []

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if name not in kept:  # T5 reads its table again for the decoder
                kept[name] = output[0] if isinstance(output, tuple) else output
                kept[name].requires_grad_()
                kept[name].retain_grad()

        return hook

    if put is not None and embedding:
        first = [put]
        handles.append(
            modules[embedding].register_forward_hook(
                lambda module, args, output: first.pop().clone() if first else None
            )
        )
    elif put is not None:
        given = {**given, "pixel_values": put}
    handles += [modules[name].register_forward_hook(keep(name)) for name in names]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    value(model(**given)).sum().backward()
    for handle in handles:
        handle.remove()
    return [kept[n].detach() for n in names], [kept[n].grad for n in names]  # type: ignore[misc]


def _ends(
    model: nn.Module, kind: str, given: dict[str, Tensor], other: dict[str, Tensor]
) -> tuple[str, Tensor, Tensor]:
    """Return the name of the embedding, and the two ends of the path."""
    if transformed.moved(kind, given) == "pixel_values":
        return "", given["pixel_values"], other["pixel_values"]
    embedding = transformed.EMBEDDINGS[kind]
    table = dict(model.named_modules())[embedding]
    return embedding, table(given["input_ids"]).detach(), table(other["input_ids"]).detach()


def _layers(kind: str) -> list[str]:
    return [*filter(None, [transformed.EMBEDDINGS.get(kind)]), *transformed.BLOCKS[kind]]


def _close(found: Any, expected: list[Tensor], kind: str, how: str = "eager") -> bool:
    tolerance = 5e-7 if (kind, how) in transformed.CAST else 1e-12
    size = max(float(tensor.abs().max()) for tensor in expected)
    # Of one window, Swin's attention has a row for each example too.
    found = [layer[0] if isinstance(layer, tuple) else layer for layer in found]
    gaps = [float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)]
    return max(gaps) <= tolerance * max(size, 1.0)


@pytest.mark.parametrize(("kind", "how"), GRID)
def test_the_recipe_is_the_loop_written_by_hand(kind: str, how: str) -> None:
    model, batch = transformed.built(kind, how), transformed.batch(kind)
    corrupted = transformed.corrupted(kind, batch)
    quantity, value = _question(kind)
    layers = _layers(kind)

    path = LinearPath(Inputs(corrupted), n=5, rule="riemann_right")
    influence = DistributionalInfluence(
        model, layers, distribution=path, quantity=quantity, multiply_by_inputs=True
    )
    found = influence.attribute(batch)

    embedding, end, start = _ends(model, kind, batch, corrupted)
    slopes: list[Tensor] = [torch.zeros(())] * len(layers)
    for step in range(1, 6):
        point = start + step / 5 * (end - start)
        _, gradients = _gradients(model, layers, value, batch, embedding, point)
        slopes = [total + g / 5 for total, g in zip(slopes, gradients, strict=True)]
    here, _ = _gradients(model, layers, value, batch, embedding, end)
    there, _ = _gradients(model, layers, value, batch, embedding, start)
    expected = [s * (a - b) for s, a, b in zip(slopes, here, there, strict=True)]
    assert _close(found, expected, kind, how)


@pytest.mark.parametrize(("kind", "how"), GRID)
def test_the_gradient_at_tokens_and_blocks(kind: str, how: str) -> None:
    model, batch = transformed.built(kind, how), transformed.batch(kind)
    quantity, value = _question(kind)
    layers = _layers(kind)
    influence = DistributionalInfluence(model, layers, distribution=Point(), quantity=quantity)
    _, expected = _gradients(model, layers, value, batch)
    assert _close(influence.attribute(batch), expected, kind, how)


# Written out, a softmax over pads alone is NaN in Llama's float32; BERT reads its first position.
@pytest.mark.parametrize(
    ("kind", "how", "left"),
    [
        *((kind, how, False) for kind in ("BERT", "GPT-2", "Llama") for how in ("eager", "sdpa")),
        *(("GPT-2", how, True) for how in ("eager", "sdpa")),
        *((kind, "sdpa", True) for kind in ("Llama", "Qwen3")),
    ],
)
def test_padded_prompts_are_what_they_are_alone(kind: str, how: str, left: bool) -> None:
    model, lengths, longest = transformed.built(kind, how), (6, 4, 2), 6
    quantity, _ = _question(kind)
    batch, alone, places = _padded(lengths, longest, left)
    if left:  # positions are counted from the first pad, unless it is told
        batch["position_ids"] = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    layers = _layers(kind)
    influence = DistributionalInfluence(
        model, layers, distribution=Point(), quantity=quantity, multiply_by_inputs=True
    )
    together = influence.attribute(batch)
    for row, (own, place) in enumerate(zip(alone, places, strict=True)):
        for ours, theirs in zip(together, influence.attribute(own), strict=True):
            assert _close([ours[row, place]], [theirs[0]], kind)
            pads = torch.ones(longest, dtype=torch.bool)
            pads[place] = False
            assert bool((ours[row, pads] == 0).all())


def _padded(
    lengths: tuple[int, ...], longest: int, left: bool
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]], list[slice]]:
    """Return prompts as a batch with pads, each alone, and where each lies in the batch."""
    prompts = [torch.arange(3, 3 + n) * 2 + n for n in lengths]
    ids, mask = torch.zeros(2, len(lengths), longest, dtype=torch.long)
    places = [slice(longest - n, longest) if left else slice(0, n) for n in lengths]
    for row, (prompt, place) in enumerate(zip(prompts, places, strict=True)):
        ids[row, place], mask[row, place] = prompt, 1
    batch = {"input_ids": ids, "attention_mask": mask}
    alone = [{"input_ids": p[None], "attention_mask": torch.ones_like(p)[None]} for p in prompts]
    return batch, alone, places


def test_one_corrupted_prompt_for_all_or_one_for_each() -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2")
    corrupted = transformed.corrupted("GPT-2", batch)

    def asked(start: Any, given: dict[str, Tensor]) -> Tensor:
        influence = DistributionalInfluence(
            model,
            "transformer.h.1",
            distribution=LinearPath(Inputs(start), n=4),
            quantity=NextToken(3),
            multiply_by_inputs=True,
        )
        found: Tensor = influence.attribute(given)
        return found

    each = asked(corrupted, batch)
    for row in range(2):
        one = {name: tensor[row : row + 1] for name, tensor in corrupted.items()}
        own = {name: tensor[row : row + 1] for name, tensor in batch.items()}
        assert torch.allclose(each[row], asked(one, own)[0], atol=1e-13)
        for start in (one, one["input_ids"]):
            assert torch.allclose(asked(start, batch)[row], each[row], atol=1e-13)


def test_a_set_of_corrupted_prompts_is_drawn_from() -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2", examples=1)
    others = transformed.batch("GPT-2", examples=3, seed=4)["input_ids"]
    layer, draws = "transformer.h.1", 4
    settings: dict[str, Any] = {"quantity": NextToken(3), "multiply_by_inputs": True}
    named = Baselines(Inputs(others), n=draws, seed=2)
    found = DistributionalInfluence(model, layer, distribution=named, **settings).attribute(batch)
    table = model.get_submodule("transformer.wte")
    known = Baselines(table(others).detach(), n=draws, seed=2)
    by_hand = DistributionalInfluence(
        model, layer, distribution=known, sample_at="transformer.wte", **settings
    )
    assert torch.equal(found, by_hand.attribute(batch))


def test_a_reference_named_by_its_inputs() -> None:
    model, batch = transformed.built("Llama"), transformed.batch("Llama")
    corrupted = transformed.corrupted("Llama", batch)
    quantity, value = _question("Llama")
    layers = list(transformed.BLOCKS["Llama"])
    influence = DistributionalInfluence(
        model,
        layers,
        distribution=Point(),
        quantity=quantity,
        multiply_by_inputs=True,
        reference=Inputs(corrupted),
    )
    here, slopes = _gradients(model, layers, value, batch)
    there, _ = _gradients(model, layers, value, corrupted)
    expected = [s * (a - b) for s, a, b in zip(slopes, here, there, strict=True)]
    assert _close(influence.attribute(batch), expected, "Llama")


def test_a_path_over_the_picture_beside_a_text_that_stays() -> None:
    model, batch = transformed.built("CLIP"), transformed.batch("CLIP")
    dark = torch.zeros_like(batch["pixel_values"])
    layer = "vision_model.encoder.layers.1"
    quantity, value = _question("CLIP")
    slopes = torch.zeros(())
    for step in range(1, 4):
        point = dark + step / 3 * (batch["pixel_values"] - dark)
        _, gradients = _gradients(model, [layer], value, batch, put=point)
        slopes = slopes + gradients[0] / 3
    for start, given in (
        (Inputs({"pixel_values": 0.0}), batch),
        (Inputs((None, 0.0)), (batch["input_ids"], batch["pixel_values"])),
        (0.0, batch),
    ):
        path = LinearPath(start, n=3, rule="riemann_right")
        influence = DistributionalInfluence(model, layer, distribution=path, quantity=quantity)
        assert torch.allclose(influence.attribute(given), slopes, atol=1e-6)


def test_heads_are_the_input_of_what_joins_them() -> None:
    model, batch = transformed.built("GPT-2"), transformed.batch("GPT-2")
    cut = Cut("transformer.h.1.attn.c_proj", "input")
    influence = DistributionalInfluence(model, cut, distribution=Point(), quantity=NextToken(3))
    assert influence.attribute(batch).shape == (2, 6, 16)


@pytest.mark.filterwarnings("ignore:.*past_key_values.*deprecated:FutureWarning")
@pytest.mark.parametrize("examples", [1, 2])
@pytest.mark.parametrize("kind", ["GPT-2", "Llama", "Qwen3"])
def test_a_cache_of_keys_and_values_is_the_run_as_a_whole_and_does_not_grow(kind, examples):
    model = transformed.built(kind, "sdpa")
    ids = transformed.batch(kind, examples)["input_ids"]
    influence = DistributionalInfluence(
        model, transformed.BLOCKS[kind][0], distribution=Point(), quantity=NextToken(3)
    )
    whole = influence.attribute({"input_ids": ids})
    cache = pytest.importorskip("transformers").DynamicCache()
    with torch.no_grad():
        model(ids[:, :-1], past_key_values=cache, use_cache=True)
    last = {"input_ids": ids[:, -1:]}
    for _ in range(2):  # a cache that had grown would be another question
        found = influence.attribute(last, forward_kwargs={"past_key_values": cache})
        torch.testing.assert_close(found[:, 0], whole[:, -1], rtol=1e-6, atol=1e-7)
        assert cache.get_seq_length() == ids.shape[1] - 1

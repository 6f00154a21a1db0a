"""Texts as one input of a verb: their units against hooks, and what can't be one in words."""

from typing import Any

import prompted
import pytest
import torch
import transformed
from prompted import CLEAN, CORRUPTED, PARTS, WordTokenizer
from torch import Tensor, nn

from captum_influence import (
    Cut,
    Inputs,
    LinearPath,
    NextToken,
    Prompts,
    UnitsOf,
    counterfactual,
    explain,
    explain_layers,
)
from captum_influence.demo.phrase_net import PhraseTokenizer, load_phrase_network

TOKENIZER = WordTokenizer()
KINDS = [kind for kind in PARTS if kind != "plain"]
IDS = torch.tensor([TOKENIZER(CLEAN)["input_ids"]])


def given(kind: str, pads: int = 0) -> dict[str, Tensor]:
    """Return a text as a tokenizer does, with pads on the right."""
    ids = torch.cat([IDS, torch.zeros(1, pads, dtype=torch.long)], dim=1)
    mask = torch.ones_like(ids)
    mask[:, IDS.shape[1] :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def asked(kind: str) -> dict[str, Any]:
    return {"target": 2, "versus": 1, "tokenizer": TOKENIZER, "top": 3}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pads", [0, 3])
def test_heads_are_estimated_and_removed_as_hooks_do(kind: str, pads: int) -> None:
    model, (name, _) = prompted.network(kind), PARTS[kind][0]
    heads = UnitsOf(Cut(name, "input"), "head", heads=prompted.HEADS[kind])
    found = explain(model, given(kind, pads), heads, **asked(kind))
    z, gradient = prompted.given_to(model, name, CLEAN)
    expected = (z * gradient)[0].unflatten(-1, (prompted.HEADS[kind], -1)).sum((0, 2))
    tolerance = max(1e-11, prompted.TOLERANCE[kind])
    torch.testing.assert_close(found.values, expected, rtol=0, atol=tolerance * 10)
    whole = prompted.patched(model, name, lambda x: x)
    size = z.shape[-1] // prompted.HEADS[kind]
    for row, effect in zip(found.units, found.effects.alone, strict=True):
        own = slice(row.unit.index[0] * size, (row.unit.index[0] + 1) * size)

        def without(x: Tensor, own: slice = own) -> Tensor:
            x[..., own] = 0
            return x

        lost = whole - prompted.patched(model, name, without)
        assert effect == pytest.approx(lost, abs=10 * tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_pads_get_nothing(kind: str) -> None:
    model, block = prompted.network(kind), transformed.BLOCKS[kind][0]
    alone, padded = (
        explain(model, given(kind, pads), UnitsOf(block, "position"), **asked(kind))
        for pads in (0, 3)
    )
    count = IDS.shape[1]
    tolerance = 10 * max(1e-12, prompted.TOLERANCE[kind])
    torch.testing.assert_close(padded.values[:count], alone.values, rtol=0, atol=tolerance)
    assert padded.values[count:].tolist() == [0.0] * 3
    assert padded.units[0].seen.map[count:].tolist() == [0.0] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_what_tokens_do_through_a_unit(kind: str) -> None:
    model, block = prompted.network(kind), transformed.BLOCKS[kind][0]
    found = explain(model, given(kind), block, **asked(kind))
    kept: dict[str, Tensor] = {}
    embedding = model.get_submodule(transformed.EMBEDDINGS[kind])
    layer = model.get_submodule(block)

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            kept[name] = output[0] if isinstance(output, tuple) else output
            kept[name].retain_grad()

        return hook

    handles = [
        embedding.register_forward_hook(keep("embedding")),
        layer.register_forward_hook(keep("block")),
    ]
    scores = model(**given(kind)).logits
    scores = scores[:, -1] if scores.ndim == 3 else scores
    slopes = torch.autograd.grad((scores[:, 2] - scores[:, 1]).sum(), kept["block"])[0]
    scores = model(**given(kind)).logits
    for row in found.units[:2]:
        unit = row.unit.index[0]
        through = (kept["block"][..., unit] * slopes[..., unit]).sum()
        (grad,) = torch.autograd.grad(through, kept["embedding"], retain_graph=True)
        expected = (grad * kept["embedding"]).sum(-1)[0].detach()
        tolerance = 10 * max(1e-12, prompted.TOLERANCE[kind])
        torch.testing.assert_close(row.seen.map, expected, rtol=0, atol=tolerance)
    for handle in handles:
        handle.remove()


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a path that leads from more to less
def test_a_path_adds_up_from_the_other_prompt() -> None:
    model, prompts = prompted.network("GPT-2"), Prompts(TOKENIZER, CLEAN, CORRUPTED)
    path, layers = LinearPath(Inputs(prompts.corrupted), n=100), ["transformer.wte"]
    found = explain_layers(model, prompts.clean, layers, 2, versus=1, distribution=path)
    with torch.no_grad():
        own, other = (prompted.scores(model, text)[0] for text in (CLEAN, CORRUPTED))
    change = float(own[2] - own[1] - other[2] + other[1])
    assert found.change == pytest.approx(change, abs=1e-12)
    assert float(found.layers[layers[0]].values.sum()) == pytest.approx(change, rel=1e-3)


def test_another_prompt_has_the_same_mask() -> None:
    model, other = prompted.network("GPT-2"), given("GPT-2")
    other["attention_mask"] = other["attention_mask"].clone()
    other["attention_mask"][0, 0] = 0
    with pytest.raises(ValueError, match="equally many"):
        explain(model, given("GPT-2"), None, 2, distribution=LinearPath(Inputs(other)))


def test_tokens_are_asked_for_as_classes_are() -> None:
    model, tokenizer = load_phrase_network(), PhraseTokenizer()
    named = {"input_ids": torch.tensor([tokenizer("Mary John Anna Ben Mary")["input_ids"]])}
    asked = {"target": "John", "versus": "Ben", "tokenizer": tokenizer}
    found = explain(model, named, "blocks.0", **asked)
    assert found.predictions[0].name == "'John'"
    assert found.display.to_dict()["tokens"][1:3] == ["'Mary'", "'John'"]
    quantity = NextToken("John", tokenizer=tokenizer) - NextToken("Ben", tokenizer=tokenizer)
    other = explain(model, named, "blocks.0", quantity)
    torch.testing.assert_close(other.values, found.values, rtol=0, atol=1e-5)
    bare = explain(model, named["input_ids"], "blocks.0", **asked)
    torch.testing.assert_close(bare.values, found.values, rtol=0, atol=1e-5)


def test_classes_have_the_names_that_the_network_knows() -> None:
    model = prompted.network("BERT")
    model.config.id2label = {0: "bad", 1: "fair", 2: "good"}
    found = explain(model, given("BERT"), None, "good", top=1)
    assert found.quantity == "score(good)"
    assert found.display.to_dict()["tokens"][0] == str(int(IDS[0, 0]))


class Captioned(nn.Module):
    """A picture beside words that say how its colours count."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.eyes = nn.Embedding(9, 4), nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, input_ids: Tensor, pixel_values: Tensor) -> Tensor:
        seen = self.eyes(pixel_values).relu() * self.words(input_ids).mean(1)[..., None, None]
        return self.head(seen.mean((2, 3)))


def test_a_picture_is_explained_beside_its_words() -> None:
    model = Captioned().double().eval()
    picture = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    words = torch.tensor([[3, 5]])
    found = explain(model, {"input_ids": words, "pixel_values": picture}, "eyes", 1, top=2)
    z = model.eyes(picture).detach().requires_grad_()
    weights = model.words(words).mean(1)[..., None, None].detach()
    score = model.head((z.relu() * weights).mean((2, 3)))[0, 1]
    expected = (torch.autograd.grad(score, z)[0] * z).sum((0, 2, 3)).detach()
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-12)
    assert found.display.noun == "picture"


def test_a_counterfactual_is_what_the_network_says_without_its_units() -> None:
    model, name = prompted.network("GPT-2"), "transformer.h.1.mlp.c_proj"
    with torch.no_grad():
        order = prompted.scores(model, CLEAN)[0].argsort(descending=True).tolist()
    found = counterfactual(
        model, given("GPT-2"), Cut(name, "input"), true=order[1], tokenizer=TOKENIZER, controls=3
    )
    units = [unit.index[0] for unit in found.units]

    def without(module: nn.Module, args: Any) -> Any:
        changed = args[0].clone()
        changed[..., units] = 0
        return (changed, *args[1:])

    handle = model.get_submodule(name).register_forward_pre_hook(without)
    with torch.no_grad():
        scores = prompted.scores(model, CLEAN)[0]
    handle.remove()
    lead = float(scores[order[0]] - scores[order[1]])
    assert found.margins[-1] == pytest.approx(lead, abs=1e-11)


@pytest.mark.parametrize(
    ("wrong", "kind", "match"),
    [
        ({"input_ids": [[1, 2]]}, TypeError, "return_tensors"),
        ({"input_ids": torch.ones(2, 3, dtype=torch.long)}, ValueError, "one at a time"),
        ({"input_ids": torch.ones(1, 0, dtype=torch.long)}, ValueError, "empty"),
        ({"pixel_values": torch.rand(1, 3), "inputs_embeds": torch.rand(1, 3)}, TypeError, "one"),
    ],
)
def test_what_is_no_single_text_is_refused(wrong: Any, kind: Any, match: str) -> None:
    with pytest.raises(kind, match=match):
        explain(prompted.network("GPT-2"), wrong, "transformer.h.0", 2)

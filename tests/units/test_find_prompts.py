"""Layers ranked together over prompts: each counts as it does alone."""

from typing import Any

import padded
import pytest
import torch
import transformed
from padded import KINDS, TOLERANCE

from captum_influence import Function, LinearPath, NextToken, rank_layers
from captum_influence.demo import PhraseTokenizer, load_phrase_network

LENGTHS = (6, 4, 6, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["right", "left", "lists"])
@pytest.mark.parametrize("replace", [None, "mean"])
def test_values_are_those_of_each_prompt_alone(kind: str, form: str, replace: Any) -> None:
    model, given = transformed.built(kind, "sdpa"), padded.prompts(kind, LENGTHS)
    ((batch, _),) = padded.loader(form, given, [0] * len(given))
    names = list(transformed.BLOCKS[kind])
    found = rank_layers(model, batch, names, 1, replace=replace)
    for name in names:
        seen = [padded.hooked(model, name, one, 1) for one in given]
        mean = torch.cat([z for z, _ in seen]).mean(0) if replace else 0
        each = torch.stack([((z - mean) * slope).sum(0) for z, slope in seen])
        close: dict[str, float] = {"rtol": 0, "atol": 10 * TOLERANCE[kind]}
        ranking = found.layers[name]
        torch.testing.assert_close(ranking.values, each.mean(0), **close)
        errors = each.std(0) / len(given) ** 0.5
        for unit in ranking:
            (i,) = unit.index
            assert unit.standard_error == pytest.approx(float(errors[i]), abs=close["atol"])
            own = torch.stack([z.sum(0) for z, _ in seen]).mean(0)
            assert unit.activation == pytest.approx(float(own[i]), abs=close["atol"])
    assert found.facts["examples"] == len(given)


def test_tokens_are_asked_for_by_text_also_along_a_path() -> None:
    tokenizer, network = PhraseTokenizer(), load_phrase_network().double()
    ids = [tokenizer(text)["input_ids"] for text in ("Anna Ben Clara Anna", "Mary Ben Mary")]
    path = LinearPath(n=64)
    asked: dict[str, Any] = {"tokenizer": tokenizer, "distribution": path}
    found = rank_layers(network, {"input_ids": ids}, ["words"], "Ben", **asked)
    changes = []
    for one in ids:
        with torch.no_grad():
            end = network(torch.tensor([one]))[0, -1, 2]
            handle = network.words.register_forward_hook(lambda module, args, output: 0 * output)
            start = network(torch.tensor([one]))[0, -1, 2]
            handle.remove()
        changes.append(float(end - start))
    change = sum(changes) / 2
    assert found.layers["words"].change == pytest.approx(change, abs=1e-12)
    assert float(found.layers["words"].values.sum()) == pytest.approx(change, rel=1e-3)
    assert found.facts["quantity"] == "score('Ben')"


def test_pictures_beside_words_are_refused() -> None:
    with pytest.raises(TypeError, match="whole numbers"):
        rank_layers(transformed.built("BERT"), {"inputs_embeds": torch.rand(2, 3, 16)}, ["bert"])


def test_a_quantity_reads_the_networks_own_output() -> None:
    model, given = transformed.built("GPT-2", "sdpa"), padded.prompts("GPT-2", LENGTHS)
    ((batch, _),) = padded.loader("right", given, [0] * len(given))
    name = padded.block("GPT-2")
    asked = [2, NextToken(2), Function(lambda output: output.logits[:, -1, 2])]
    found = [rank_layers(model, batch, [name], one).layers[name].values for one in asked]
    for values in found[1:]:
        torch.testing.assert_close(values, found[0], rtol=0, atol=1e-12)

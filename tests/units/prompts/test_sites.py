"""Sites pool and find what belongs to their units."""

import prompted
import torch
from prompted import CLEAN, WordTokenizer

from captum_influence.units.prompts.prompt import Prompt
from captum_influence.units.prompts.sites import Sites


def sites() -> Sites:
    model = prompted.reader()
    prompt = Prompt.of(model, WordTokenizer(), CLEAN, None)
    return Sites.of(model, prompt.inputs, len(prompt.tokens))


def test_there_are_the_stream_the_heads_and_the_neurons() -> None:
    found = sites()
    assert [site.layer for site in found.stream] == ["embedding", "blocks.0", "blocks.1"]
    assert [site.count for site in found.stream] == [11] * 3
    assert [(s.count, s.output) for s in found.heads] == [
        (4, "blocks.0.attention.out"),
        (4, "blocks.1.attention.out"),
    ]
    assert [(s.count, s.output) for s in found.neurons] == [
        (12, "blocks.0.down"),
        (12, "blocks.1.down"),
    ]
    assert len(found.all) == 7
    assert [len(found.of_kind(kind)) for kind in ("token", "head", "neuron")] == [1, 2, 2]


def test_a_unit_has_what_lies_in_its_features_at_all_positions() -> None:
    found = sites()
    heads, neurons, stream = found.heads[0], found.neurons[0], found.stream[0]
    values = torch.zeros(1, 11, 8)
    values[0, 3, 4:6] = torch.tensor([1.0, 2.0])  # head 2
    values[0, 5, 4] = -5.0
    assert heads.pooled(values).tolist() == [0, 0, -2, 0]
    assert heads.position(values, 2) == 5
    assert stream.pooled(values).tolist() == [0, 0, 0, 3, 0, -5, 0, 0, 0, 0, 0]
    wide = torch.zeros(1, 11, 12)
    wide[0, 7, 9] = 4.0
    assert neurons.pooled(wide)[9] == 4
    assert neurons.position(wide, 9) == 7

"""Prompts of a loader: their forms, their pads, and their order."""

from typing import Any

import pytest
import torch

from captum_influence.data.items import Accepts
from captum_influence.data.prompts.loaded_prompts import LoadedPrompts, holds_prompts

IDS = torch.tensor([[5, 6, 7, 0], [8, 9, 0, 0], [1, 2, 3, 4]])
RIGHT = (torch.arange(4) < torch.tensor([[3], [2], [4]])).long()
EXPECTED = [[5, 6, 7], [8, 9], [1, 2, 3, 4]]
LABELS = torch.tensor([1, 0, 1])
FORMS = {
    "a mapping with labels": [{"input_ids": IDS, "attention_mask": RIGHT, "labels": LABELS}],
    "labels beside": [({"input_ids": IDS, "attention_mask": RIGHT}, LABELS)],
    "labels in a list": [[{"input_ids": IDS, "attention_mask": RIGHT}, [1, 0, 1]]],
    "left": [({"input_ids": IDS.flip(1), "attention_mask": RIGHT.flip(1)}, LABELS)],
    "ragged lists": [({"input_ids": EXPECTED}, LABELS)],
    "ids in lists": [(EXPECTED, LABELS)],
    "ids one by one": [(torch.tensor(x), y) for x, y in zip(EXPECTED, [1, 0, 1], strict=True)],
    "mappings one by one": [{"input_ids": x, "label": 1 - (len(x) == 2)} for x in EXPECTED],
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_hold_the_same_prompts(form: str) -> None:
    items = FORMS[form]
    assert all(map(holds_prompts, items))
    found = LoadedPrompts.read(items, "input_ids")
    ids = [prompt[0].tolist() for prompt in found.prompts]
    turned = [row[::-1] for row in EXPECTED] if form == "left" else EXPECTED
    assert ids == turned
    assert list(found.labels) == [1, 0, 1]
    assert found.names == ("input_ids",)


def test_batches_are_of_one_length_and_know_their_places() -> None:
    items = [(row, name) for row, name in zip([*EXPECTED, [3, 4]], "abab", strict=True)]
    found = LoadedPrompts.read(items, "input_ids")
    batches = found.batches({"a": 7, "b": 8}.__getitem__)
    assert [tuple(batch.inputs.shape) for batch in batches] == [(2, 1, 2), (1, 1, 3), (1, 1, 4)]
    assert [batch.numbers.tolist() for batch in batches] == [[1, 3], [0], [2]]
    assert [batch.labels.tolist() for batch in batches] == [[8, 8], [7], [7]]


def test_batches_are_no_larger_than_the_loaders() -> None:
    items = [(IDS[:, :3], LABELS), (IDS[:, :3], LABELS)]
    found = LoadedPrompts.read(items, "input_ids")
    assert [len(batch.inputs) for batch in found.batches(int)] == [3, 3]


def test_what_the_network_reads_first_comes_first() -> None:
    given = {"token_type_ids": IDS * 0, "input_ids": IDS}
    accepts = Accepts(names=("input_ids", "attention_mask", "token_type_ids"))
    found = LoadedPrompts.read([(given, LABELS)], "input_ids", accepts)
    assert found.names == ("input_ids", "token_type_ids")
    assert found.prompts[2].tolist() == [[1, 2, 3, 4], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    "item",
    [
        (torch.rand(2, 3, 4, 4), torch.tensor([0, 1])),
        {"pixel_values": torch.rand(2, 3), "input_ids": IDS[:2]},
        {"text": ["a", "b"]},
        torch.rand(2, 3),
    ],
)
def test_other_things_are_none(item: Any) -> None:
    assert not holds_prompts(item)


@pytest.mark.parametrize(
    ("items", "match"),
    [
        ([{"input_ids": IDS}], "a label for each of 3"),
        ([({"input_ids": IDS}, torch.ones(3, 4))], "each token"),
        ([({"input_ids": IDS, "decoder_input_ids": IDS[:, :2]}, LABELS)], "decoder"),
        ([({"input_ids": IDS, "lengths": torch.ones(3).long()}, LABELS)], "a row for each"),
        ([({"input_ids": IDS}, LABELS), ({"words": IDS}, LABELS)], "same names"),
    ],
)
def test_what_is_none_is_refused(items: list[Any], match: str) -> None:
    with pytest.raises(TypeError, match=match):
        LoadedPrompts.read(items, "input_ids")


@pytest.mark.parametrize(("mask", "match"), [([1, 0, 1], "apart"), ([0, 0, 0], "none")])
def test_a_mask_leaves_out_ends(mask: list[int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        LoadedPrompts.read([({"input_ids": [1, 2, 3], "attention_mask": mask}, 0)], "input_ids")

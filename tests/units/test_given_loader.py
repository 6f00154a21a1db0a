"""Loaders of prompts: whatever their form, each prompt counts as it does alone."""

from typing import Any

import padded
import pytest
import torch
import transformed
from padded import FORMS, KINDS, LABELS, TOLERANCE
from torch.utils.data import DataLoader

from captum_influence import Inputs, LinearPath, NextToken, Prompts, UnitsOf, class_rankings
from captum_influence.attr.run import Run
from captum_influence.demo import PhraseTokenizer, load_phrase_network
from captum_influence.reports.shown import Shown
from captum_influence.units.given_loader import GivenLoader

BY = ["influence", "contribution", "contrast", "activation"]
TOKENIZER, NETWORK = PhraseTokenizer(), load_phrase_network()
SAID = [
    ("Anna Ben Clara Anna", "Ben"),
    ("Mary John Mary", "John"),
    ("Kate Ben Leo Kate", "Ben"),
    ("Ida Ben David Clara Ida", "Ben"),
    ("Leo Emma Leo", "Emma"),
]


def expected(kind: str, target: int, given: list[Any]) -> dict[str, torch.Tensor]:
    """Return what units of the first block do, by hooks on each prompt alone."""
    model, name = transformed.built(kind, "sdpa"), padded.block(kind)
    seen = [padded.hooked(model, name, one, target) for one in given]
    mean = torch.cat([z for z, _ in seen]).mean(0)
    own = [pair for pair, label in zip(seen, LABELS, strict=True) if label == target]
    rest = [z for (z, _), label in zip(seen, LABELS, strict=True) if label != target]
    apart = torch.cat([z for z, _ in own]).mean(0) - torch.cat(rest).mean(0)
    parts = {
        "influence": [g.sum(0) for _, g in own],
        "contribution": [(g * (z - mean)).sum(0) for z, g in own],
        "contrast": [g.sum(0) * apart for _, g in own],
        "activation": [z.sum(0) for z, _ in own],
    }
    return {name: torch.stack(rows).mean(0) for name, rows in parts.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_each_prompt_counts_as_it_does_alone(kind: str, form: str) -> None:
    given = padded.prompts(kind)
    loader = padded.loader(form, given, LABELS)
    model = transformed.built(kind, "sdpa")
    found = class_rankings(model, loader, padded.block(kind), 0, by=BY, ends="top")
    truth = expected(kind, 0, given)
    for name, ranking in found.items():
        ordered = [unit.value for unit in sorted(ranking, key=lambda unit: unit.index)]
        values = torch.tensor(ordered, dtype=torch.float64)
        torch.testing.assert_close(values, truth[name], rtol=0, atol=TOLERANCE[kind])
        assert ranking.facts["prompts"] == 3


def test_means_are_over_tokens_that_there_are() -> None:
    given = padded.prompts("GPT-2")
    asked: dict[str, Any] = {"by": ["activation"], "aggregate": "mean"}
    model, name = transformed.built("GPT-2", "sdpa"), padded.block("GPT-2")
    found = class_rankings(model, padded.loader("right", given, LABELS), name, 0, **asked)
    own = [one for one, label in zip(given, LABELS, strict=True) if label == 0]
    truth = torch.stack([padded.hooked(model, name, one, 0)[0].mean(0) for one in own]).mean(0)
    for unit in found["activation"]:
        assert unit.value == pytest.approx(float(truth[unit.index[0]]), abs=1e-12)


def test_tokens_are_classes_by_number_and_by_text() -> None:
    texts = [(TOKENIZER(text), label) for text, label in SAID]
    numbers = [(ids, TOKENIZER(name)["input_ids"][1]) for ids, name in texts]
    asked: dict[str, Any] = {"by": ["contribution", "conductance"], "tokenizer": TOKENIZER}
    named = class_rankings(NETWORK, texts, "blocks.0.mlp.0", "Ben", **asked)
    numbered = class_rankings(NETWORK, numbers, "blocks.0.mlp.0", 2, **asked)
    for name, ranking in named.items():
        assert [u.index for u in ranking] == [u.index for u in numbered[name]]
    assert named["contribution"].facts["class"] == "'Ben'"
    assert "embedding" in named["conductance"].facts["distribution"]


def test_a_quantity_reads_the_last_token() -> None:
    texts = [(TOKENIZER(text), label) for text, label in SAID]
    asked: dict[str, Any] = {"by": ["influence"], "tokenizer": TOKENIZER}
    lead = NextToken("Ben") - NextToken("John")
    found = class_rankings(NETWORK, texts, "blocks.0", "Ben", quantity=lead, **asked)["influence"]
    parts = [
        class_rankings(NETWORK, texts, "blocks.0", "Ben", quantity=name, **asked)["influence"]
        for name in ("Ben", "John")
    ]
    ben, john = ({u.index: u.value for u in ranking} for ranking in parts)
    for unit in found:
        apart = ben[unit.index] - john[unit.index]
        assert unit.value == pytest.approx(apart, abs=1e-5)


def test_a_conductance_adds_up_behind_the_embedding() -> None:
    texts = [(TOKENIZER("Anna Ben Clara Anna"), "Ben")]
    found = class_rankings(
        NETWORK.double(),
        texts,
        "words",
        "Ben",
        by=["conductance"],
        tokenizer=TOKENIZER,
        n_steps=200,
    )
    ids = torch.tensor([TOKENIZER("Anna Ben Clara Anna")["input_ids"]])
    handle = NETWORK.words.register_forward_hook(lambda module, args, output: 0 * output)
    with torch.no_grad():
        start = float(NETWORK(ids)[0, -1, 2])
        handle.remove()
        end = float(NETWORK(ids)[0, -1, 2])
    NETWORK.float()
    assert sum(u.value for u in found["conductance"]) == pytest.approx(end - start, abs=1e-3)


def test_classes_have_the_names_that_the_network_knows() -> None:
    model = transformed.built("BERT")
    model.config.id2label = {0: "bad", 1: "fair", 2: "good"}
    names = [model.config.id2label[label] for label in LABELS]
    loader = padded.loader("right", padded.prompts("BERT"), names)
    found = class_rankings(model, loader, padded.block("BERT"), "good", by=["influence"])
    assert found["influence"].facts["class"] == "good"


def test_another_prompt_is_where_a_path_begins() -> None:
    prompts = Prompts(TOKENIZER, ["Anna Ben Clara Anna", "Ida Ben Leo Ida"], "Emma Kate Leo Emma")
    path = LinearPath(Inputs({"input_ids": prompts.corrupted["input_ids"][:1]}), n=3)
    loader = [(prompts.clean["input_ids"], ["Ben", "Ben"])]
    asked: dict[str, Any] = {"by": ["influence"], "tokenizer": TOKENIZER, "distribution": path}
    found = class_rankings(NETWORK, loader, "blocks.0", "Ben", **asked)
    assert "path" in found["influence"].facts["distribution"]
    ragged = [*loader, (TOKENIZER("Mary John Mary"), "John")]
    with pytest.raises(ValueError, match="as long as all of the loader's"):
        class_rankings(NETWORK, ragged, "blocks.0", "Ben", **asked)


def test_positions_are_units_only_where_all_prompts_have_them() -> None:
    alike = [(TOKENIZER(text), label) for text, label in SAID if len(text.split()) == 4]
    asked: dict[str, Any] = {"by": ["influence"], "tokenizer": TOKENIZER}
    positions = UnitsOf("blocks.0", "position")
    found = class_rankings(NETWORK, alike, positions, "Ben", **asked)["influence"]
    assert len(found) == 5
    ragged = [(TOKENIZER(text), label) for text, label in SAID]
    with pytest.raises(ValueError, match=r'axis="channel"'):
        class_rankings(NETWORK, ragged, positions, "Ben", **asked)


def test_a_prompt_is_shown_by_its_tokens() -> None:
    texts = [(TOKENIZER(text), label) for text, label in SAID]
    given = GivenLoader.of(NETWORK, texts, Shown(tokenizer=TOKENIZER))
    first, *_ = given.loader
    display = given.shown.display
    assert display is not None
    shown = display(first.inputs[0])
    assert shown.to_dict()["tokens"][1:] == ["'Mary'", "'John'", "'Mary'"]


def test_pictures_are_handed_on_as_they_are() -> None:
    network, loader = torch.nn.Conv2d(3, 2, 1), [(torch.rand(2, 3, 4, 4), torch.tensor([0, 1]))]
    with Run().seeded():
        given = GivenLoader.of(network, loader, Shown())
    assert given.loader is loader
    assert given.network is network


@pytest.mark.parametrize(
    ("item", "kind", "match"),
    [
        ({"input_ids": torch.ones(2, 3, dtype=torch.long)}, TypeError, "a label for each"),
        (
            ({"input_ids": torch.ones(2, 3, dtype=torch.long)}, torch.ones(2, 3)),
            TypeError,
            "each token",
        ),
        (({"input_ids": [1, 2], "attention_mask": [0, 0]}, 0), ValueError, "mask"),
        (({"input_ids": [1, 2, 3], "attention_mask": [1, 0, 1]}, 0), ValueError, "apart"),
        (({"input_ids": [1, 2, 3], "idx": [4]}, 0), TypeError, "collate_fn"),
        (({"input_ids": [1, 2, 3], "attention_mask": [1, 1]}, 0), TypeError, "each token"),
        (({"input_ids": [1, 2, 3]}, "Ben"), ValueError, "tokenizer="),
    ],
)
def test_what_is_no_prompt_with_a_label_is_refused(item: Any, kind: Any, match: str) -> None:
    with pytest.raises(kind, match=match):
        class_rankings(NETWORK, [item], "blocks.0", 2)


def test_a_shuffling_loader_with_a_collator_leaves_the_random_state() -> None:
    given = padded.prompts("BERT")
    rows = [
        {**one, "labels": torch.tensor([label])} for one, label in zip(given, LABELS, strict=True)
    ]

    def collate(batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        labels = [int(row["labels"]) for row in batch]
        texts = [{name: x for name, x in row.items() if name != "labels"} for row in batch]
        return padded.loader("dict", texts, labels)[0]

    model, name = transformed.built("BERT", "sdpa"), padded.block("BERT")
    loader: DataLoader[Any] = DataLoader(rows, batch_size=4, shuffle=True, collate_fn=collate)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    found = class_rankings(model, loader, name, 0, by=["influence"], ends="top")["influence"]
    assert torch.equal(torch.get_rng_state(), state)
    truth = expected("BERT", 0, given)["influence"]
    for unit in found:
        assert unit.value == pytest.approx(float(truth[unit.index[0]]), abs=1e-12)


def test_an_iterator_is_read_once() -> None:
    texts = [(TOKENIZER(text), label) for text, label in SAID]
    asked: dict[str, Any] = {"by": ["influence", "contribution"], "tokenizer": TOKENIZER}
    found = class_rankings(NETWORK, iter(texts), "blocks.0", "Ben", **asked)
    again = class_rankings(NETWORK, texts, "blocks.0", "Ben", **asked)
    assert [u.value for u in found["influence"]] == [u.value for u in again["influence"]]


def test_no_prompt_of_the_class_is_said_so() -> None:
    texts = [(TOKENIZER(text), label) for text, label in SAID]
    with pytest.raises(ValueError, match="no prompt of class 11"):
        class_rankings(NETWORK, texts, "blocks.0", "Kate", by=["influence"], tokenizer=TOKENIZER)

"""Profiles over prompts: next tokens as labels, and means over tokens that there are."""

from typing import Any

import padded
import pytest
import torch
import transformed
from padded import LABELS, TOLERANCE
from torch import Tensor

from captum_influence import DistributionalInfluence, InfluenceProfile, Point, Prompts
from captum_influence.attr.profile.next_tokens import real_places
from captum_influence.data.batch import Batch
from captum_influence.demo import PhraseTokenizer, load_phrase_network

FORMS = [("BERT", "right"), ("GPT-2", "right"), ("GPT-2", "left"), ("Llama", "left")]
TOKENIZER, NETWORK = PhraseTokenizer(), load_phrase_network()


def asked(kind: str) -> DistributionalInfluence:
    model = transformed.built(kind, "sdpa")
    return DistributionalInfluence(model, padded.block(kind), distribution=Point())


def placed(loader: list[Any]) -> list[Any]:
    """Return batches that say where each token stands, as models with left pads are told."""
    return [
        ({**batch, "position_ids": (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)}, labels)
        for batch, labels in loader
    ]


@pytest.mark.parametrize(("kind", "form"), FORMS)
@pytest.mark.parametrize("aggregate", ["sum", "mean", "max"])
def test_pads_are_none_of_it(kind: str, form: str, aggregate: str) -> None:
    influence, given = asked(kind), padded.prompts(kind)
    loader = placed(padded.loader(form, given, LABELS))
    profile = InfluenceProfile.over(
        influence, loader, group_by="label", axis=2, aggregate=aggregate
    )
    for label in (0, 1, 2):
        own = [one for one, other in zip(given, LABELS, strict=True) if other == label]
        slopes = [
            padded.hooked(influence.forward_func, padded.block(kind), one, label)[1] for one in own
        ]
        pooled = [x.amax(0) if aggregate == "max" else getattr(x, aggregate)(0) for x in slopes]
        truth = torch.stack(pooled).mean(0)
        torch.testing.assert_close(profile.mean(label), truth, rtol=0, atol=TOLERANCE[kind])


def test_a_function_of_places_sees_tokens_alone() -> None:
    loader = padded.loader("right", padded.prompts("GPT-2"), LABELS)
    counts: list[int] = []

    def first(units: Tensor) -> Tensor:
        counts.append(units.shape[-1])
        return units[..., 0]

    InfluenceProfile.over(asked("GPT-2"), loader, axis=2, aggregate=first)
    assert counts == list(padded.LENGTHS)


def test_labels_are_next_tokens_by_text_or_number() -> None:
    texts, names = ["Anna Ben Anna", "Leo Ida Leo"], ["Ben", "Ida"]
    prompts = Prompts(TOKENIZER, texts, texts)
    influence = DistributionalInfluence(NETWORK, "blocks.0", distribution=Point())
    numbers = torch.tensor([TOKENIZER(name)["input_ids"][1] for name in names])
    told: dict[str, Any] = {"group_by": "label", "axis": 2}
    loader = list(zip(prompts.batches(1), [["Ben"], ["Ida"]], strict=True))
    by_text = InfluenceProfile.over(influence, loader, **told)
    by_number = InfluenceProfile.over(influence, [{**prompts.clean, "labels": numbers}], **told)
    assert by_text.groups == ("Ben", "Ida")
    for name, number in zip(names, numbers.tolist(), strict=True):
        close = torch.testing.assert_close
        close(by_text.mean(name), by_number.mean(number), rtol=0, atol=1e-6)
    told["group_by"] = "predicted"
    ids = prompts.clean["input_ids"]
    predicted = InfluenceProfile.over(influence, [(ids, numbers)], **told)
    with torch.no_grad():
        assert set(predicted.groups) == set(NETWORK(ids)[:, -1].argmax(1).tolist())


def test_what_has_no_answer_is_refused() -> None:
    ids = torch.tensor([TOKENIZER("Anna Ben Anna")["input_ids"]])
    influence = DistributionalInfluence(NETWORK, "blocks.0", distribution=Point())
    with pytest.raises(ValueError, match="tokenizer"):
        InfluenceProfile.over(influence, [(ids, ["Ben"])], axis=2)
    with pytest.raises(TypeError, match="one label for each prompt"):
        InfluenceProfile.over(influence, [{"input_ids": ids, "labels": ids}], axis=2)
    ragged = [(ids, torch.tensor([2])), (ids[:, :3], torch.tensor([2]))]
    with pytest.raises(ValueError, match="axis=2"):
        InfluenceProfile.over(influence, ragged)


def test_tokens_come_before_features() -> None:
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    ids = torch.ones(2, 3, dtype=torch.long)
    batch = Batch(0, 0, (ids,), None, names=("input_ids",), beside={"attention_mask": mask})
    found = {
        (shape, axis): real_places(shape, axis, batch)
        for shape, axis in (((3, 8), 2), ((3, 3), 2), ((3, 3), 1), ((4, 3, 3), 1), ((8,), 1))
    }
    dimensions = [None if x is None else x.dimensions for x in found.values()]
    assert dimensions == [(0,), (0,), None, (1, 2), None]

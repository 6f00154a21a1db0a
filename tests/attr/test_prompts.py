"""Pairs of prompts: tokenised, compared, padded; and profiled, each beside its own partner."""

from typing import Any

import pytest
import torch
import transformed
from tokenised import Words, plain

from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.prompts import Prompts

CLEAN = [" Mary and John left", " Mary left"]
CORRUPTED = [" John and John left", " John left"]


def test_tokens_stand_side_by_side() -> None:
    prompts = Prompts(Words(), CLEAN, CORRUPTED)
    assert prompts.clean["input_ids"].tolist() == [[1, 2, 4, 3, 5], [1, 2, 5, 0, 0]]
    assert prompts.corrupted["input_ids"].tolist() == [[1, 3, 4, 3, 5], [1, 3, 5, 0, 0]]
    for one in (prompts.clean, prompts.corrupted):
        assert one["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert len(prompts) == 2


def test_one_corrupted_prompt_for_all_and_a_tokenizer_without_masks() -> None:
    prompts = Prompts(plain, ["Mary left", "John left"], "John left")
    assert prompts.corrupted["input_ids"].tolist() == [[3, 5], [3, 5]]
    assert prompts.clean["attention_mask"].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (" Mary gave left", r"3 and 4 in pair 1: they part at token 2, ' left' against ' gave' "),
        (" Mary", "3 and 2 in pair 1: they part at token 2, ' left' against nothing"),
    ],
)
def test_pairs_of_unequal_length_part_somewhere(other: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prompts(Words(), CLEAN, [CORRUPTED[0], other])


@pytest.mark.parametrize(
    ("clean", "corrupted", "kind", "message"),
    [
        (CLEAN, [*CORRUPTED, " left"], ValueError, "got 2 and 3"),
        ([], [], ValueError, "got 0 and 0"),
        ([3], " left", TypeError, "prompts as texts, got int"),
    ],
)
def test_what_is_no_pair(clean: Any, corrupted: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Prompts(Words(), clean, corrupted)


def test_a_profile_finds_each_prompts_own_partner() -> None:
    prompts = Prompts(
        Words(), [*CLEAN, " John gave Mary a book"], [*CORRUPTED, " Mary gave John a book"]
    )
    model = transformed.built("GPT-2")
    influence = DistributionalInfluence(
        model,
        "transformer.h.1",
        distribution=LinearPath(Inputs(prompts.corrupted), n=3),
        quantity=NextToken(" Mary", tokenizer=Words()) - NextToken(3),
        multiply_by_inputs=True,
    )
    whole = influence.attribute(prompts.clean)
    for size in (1, 2, 3):
        profile = InfluenceProfile.over(influence, prompts.batches(size), axis=2)
        assert torch.allclose(profile.mean(), whole.sum(1).mean(0), atol=1e-12)


def test_the_tokenizer_goes_with_the_prompts() -> None:
    prompts = Prompts(Words(), CLEAN, CORRUPTED)
    model = transformed.built("GPT-2")
    path = LinearPath(Inputs(prompts.corrupted), n=3)

    def asked(quantity: Any) -> torch.Tensor:
        influence = DistributionalInfluence(
            model, "transformer.h.1", distribution=path, quantity=quantity
        )
        found: torch.Tensor = influence.attribute(prompts.clean)
        return found

    assert torch.equal(
        asked(NextToken(" Mary") - NextToken(" John")), asked(NextToken(2) - NextToken(3))
    )


def test_batches_have_a_size() -> None:
    with pytest.raises(ValueError, match="got size=0"):
        Prompts(Words(), CLEAN, CORRUPTED).batches(0)

"""The last position is each row's own, whichever side is padded."""

from typing import Any

import pytest
import torch

from captum_influence.attr.positions import (
    at_positions,
    examples_of,
    given_positions,
    in_words_at,
    of_rows,
    settled,
)

RIGHT = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
SCORES = torch.arange(3 * 4 * 2).reshape(3, 4, 2).double()


def test_last_is_where_the_mask_ends() -> None:
    last = settled("last", {"attention_mask": RIGHT})
    assert last.tolist() == [-2, -1, -4]
    expected = torch.stack([SCORES[0, 2], SCORES[1, 3], SCORES[2, 0]])
    assert torch.equal(at_positions(SCORES, last, "it"), expected)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"attention_mask": RIGHT.flip(1)},
        {"attention_mask": torch.ones(3, 4)},
        {"attention_mask": RIGHT, "decoder_input_ids": RIGHT},  # scores are the decoder's
    ],
)
def test_where_all_rows_end_with_a_token_it_is_the_last_of_all(inputs: dict[str, Any]) -> None:
    assert settled("last", inputs) == -1


def test_a_decoder_has_a_mask_of_its_own() -> None:
    inputs = {"decoder_input_ids": RIGHT, "decoder_attention_mask": RIGHT}
    assert settled("last", inputs).tolist() == [-2, -1, -4]


@pytest.mark.parametrize("mask", [RIGHT * 0, RIGHT[:, None], "causal"])
def test_a_mask_that_does_not_tell(mask: Any) -> None:
    with pytest.raises(ValueError, match=r"say the positions, at=\[...\]"):
        settled("last", {"attention_mask": mask})


def test_positions_by_number() -> None:
    assert torch.equal(at_positions(SCORES, 1, "it"), SCORES[:, 1])
    each = given_positions([0, -1, 2])
    expected = torch.stack([SCORES[0, 0], SCORES[1, 3], SCORES[2, 2]])
    assert torch.equal(at_positions(SCORES, each, "it"), expected)
    assert (examples_of(each, 1), examples_of(-1)) == (3, None)
    assert of_rows(each, torch.tensor([2, 2])).tolist() == [2, 2]
    assert [in_words_at(at) for at in ("last", -1, None, 3, each)] == [
        "",
        "",
        "",
        " at 3",
        " at a place of each",
    ]


@pytest.mark.parametrize("at", ["first", 1.5, [], [[1]], [0.5]])
def test_what_is_no_position(at: Any) -> None:
    with pytest.raises(TypeError, match='expected at="last", a position'):
        given_positions(at)


@pytest.mark.parametrize(
    ("scores", "at", "message"),
    [
        (SCORES, None, "at=None, got shape"),
        (SCORES[:, 0], -1, r"\(examples, positions, classes\)"),
        (SCORES, 4, "out of range for 4 positions"),
        (SCORES, torch.tensor([0, 1]), "a position for each of 3 rows, got 2"),
    ],
)
def test_scores_without_such_a_position(scores: Any, at: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        at_positions(scores, at, "it")


def test_values_for_different_numbers_of_examples() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\] of them"):
        examples_of(torch.zeros(2), torch.zeros(3))

"""The logit of a token at each row's last position, by number or by text."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenised import Words
from torch import Tensor

from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import NamedInputs
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.reports.asked import code_of
from captum_influence.testing import check_quantity

SCORES = torch.cos(torch.arange(4 * 5 * 9, dtype=torch.float64)).reshape(4, 5, 9)
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]])
LAST = [4, 1, 3, 0]

EXAMPLES: dict[str, tuple[Quantity, list[tuple[int, int]]]] = {
    "the last": (NextToken(3), [(4, 3)] * 4),
    "at a position": (NextToken(3, at=1), [(1, 3)] * 4),
    "at a position each": (NextToken(3, at=[0, 1, -1, 2]), [(0, 3), (1, 3), (4, 3), (2, 3)]),
    "a token each": (NextToken([0, 8, 2, 3]), [(4, 0), (4, 8), (4, 2), (4, 3)]),
    "by text": (NextToken(" Mary", tokenizer=Words()), [(4, 2)] * 4),
    "texts": (
        NextToken([" Mary", " John", " left", 7], tokenizer=Words()),
        [(4, 2), (4, 3), (4, 5), (4, 7)],
    ),
    "by the mask": (NextToken(3).seeing({"attention_mask": MASK}), [(p, 3) for p in LAST]),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_contract_and_value(name: str) -> None:
    quantity, entries = EXAMPLES[name]
    check_quantity(quantity, SCORES)
    expected = torch.stack([SCORES[row, p, t] for row, (p, t) in enumerate(entries)])
    assert torch.equal(quantity(SCORES), expected)
    assert torch.equal(quantity(SimpleNamespace(logits=SCORES)), expected)


def test_differences_see_the_mask_too() -> None:
    difference = (2 * NextToken(3) - NextToken(5)).seeing({"attention_mask": MASK})
    rows = torch.arange(4), torch.tensor(LAST)
    assert torch.equal(difference(SCORES), 2 * SCORES[(*rows, 3)] - SCORES[(*rows, 5)])
    assert difference.examples == 4
    assert not difference.reads_end


def test_a_text_is_read_with_the_tokenizer_of_the_prompts() -> None:
    inputs = NamedInputs({"attention_mask": MASK}, Words())
    assert torch.equal(
        NextToken(" Mary").seeing(inputs)(SCORES), NextToken(2).seeing(inputs)(SCORES)
    )
    for late in (lambda: NextToken(" Mary").seeing({}), lambda: NextToken(" Mary")(SCORES)):
        with pytest.raises(ValueError, match="give tokenizer=, or its number"):
            late()
    with pytest.raises(ValueError, match="' Ma', 'ry'; ask for one"):
        NextToken(" Mary", tokenizer=_Split())


class _Split(Words):
    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, Any]:
        return {"input_ids": [7, 8]}


@pytest.mark.parametrize(
    ("quantity", "end"),
    [
        (NextToken(3), False),
        (NextToken(3).seeing({}), True),
        (NextToken(3, at=-1) - 2 * NextToken(4, at=-1), True),
        (NextToken(3, at=-1) - NextToken(4, at=0), False),
        (NextToken(3, at=-1) - ClassScore(4), False),
    ],
)
def test_whether_the_end_is_all_that_is_read(quantity: Quantity, end: bool) -> None:
    assert quantity.reads_end is end


def test_scores_without_positions() -> None:
    with pytest.raises(ValueError, match=r"\(examples, positions, classes\) for NextToken"):
        NextToken(3)(SCORES[:, 0])
    with pytest.raises(ValueError, match="out of range"):
        NextToken(9)(SCORES)


def test_in_words_and_in_code() -> None:
    assert (
        NextToken(" Mary") - NextToken(3, at=2)
    ).in_words() == "logit(' Mary') − logit(token 3 at 2)"
    assert code_of(NextToken(" Mary", at=2)) == "NextToken(' Mary', at=2)"


class Reads(torch.nn.Module):
    """Scores tokens at each position, of what came until there."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(9, 4)
        self.head = torch.nn.Linear(4, 9)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        seen = (self.table(input_ids) * mask.unsqueeze(2)).cumsum(1)
        return self.head(torch.tanh(seen))


@pytest.mark.parametrize("by_name", [True, False])
def test_each_row_is_asked_at_its_own_last_token(by_name: bool) -> None:
    model, ids = Reads().double(), torch.arange(20).reshape(4, 5) % 9
    influence = DistributionalInfluence(
        model, "table", quantity=NextToken(3) - NextToken(5), sample_at="table"
    )
    if by_name:
        found = influence.attribute({"input_ids": ids, "attention_mask": MASK})
    else:
        found = influence.attribute(ids, additional_forward_args=MASK)
    for row, last in enumerate(LAST):
        alone = influence.attribute(ids[row : row + 1, : last + 1])[0]
        assert torch.allclose(found[row, : last + 1], alone, atol=1e-13)
        assert not found[row, last + 1 :].any()

"""What a study says of pairs is what the network says of them."""

import pytest
import torch

from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.patterns.study import Study
from captum_influence.demo import induction_network

MODEL = induction_network()
CLEAN = torch.tensor([[0, 3, 1, 4, 5, 3], [0, 7, 2, 4, 5, 7]])
OTHER = torch.tensor([[0, 9, 2, 6, 8, 4], [0, 6, 3, 1, 9, 1]])
STUDY = Study.of(MODEL, Pairs(CLEAN, OTHER), NextToken([1, 2]))


def test_it_asks_the_clean_and_the_corrupted_inputs() -> None:
    with torch.no_grad():
        own, other = (MODEL(ids)[[0, 1], -1, [1, 2]].double() for ids in (CLEAN, OTHER))
    torch.testing.assert_close(STUDY.own, own)
    torch.testing.assert_close(STUDY.other, other)
    assert STUDY.lost == pytest.approx(float((own - other).mean()))


def test_shares_are_of_what_the_corruption_takes() -> None:
    half = (STUDY.own + STUDY.other) / 2
    found = STUDY.shares(torch.stack([STUDY.own, STUDY.other, half]))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, 0.5], dtype=found.dtype))


def test_points_of_a_path_begin_at_the_corrupted_inputs() -> None:
    totals = STUDY.field(LinearPath(n=40)).totals
    assert float(totals.sum()) == pytest.approx(STUDY.lost, rel=0.02)


def test_a_quantity_that_the_corruption_leaves_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a quantity that the corruption changes"):
        Study.of(MODEL, Pairs(CLEAN, CLEAN), NextToken([1, 2]))

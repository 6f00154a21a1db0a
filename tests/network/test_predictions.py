"""Classes with their names, scores and probabilities: one reading for all networks."""

from types import SimpleNamespace

import pytest
import torch

from captum_influence.network.predictions import (
    log_probabilities,
    named_predictions,
    probabilities,
    top_predictions,
)

SCORES = torch.tensor([[1.0, 3.0, 2.0, -1.0]])
NAMES = {1: "tree", 2: "fish"}


def test_scores_become_a_softmax() -> None:
    torch.testing.assert_close(probabilities(SCORES), SCORES.softmax(dim=1))


def test_probabilities_stay_as_they_are_row_by_row() -> None:
    chances = SCORES.softmax(dim=1)
    both = torch.cat([chances, SCORES])
    found = probabilities(both)
    torch.testing.assert_close(found[:1], chances, rtol=0, atol=0)
    torch.testing.assert_close(found[1:], SCORES.softmax(dim=1))


@pytest.mark.parametrize("row", [[0.5, 0.6], [1.5, -0.5], [0.0, 0.0]])
def test_rows_that_only_look_like_it_are_scores(row: list[float]) -> None:
    scores = torch.tensor([row])
    torch.testing.assert_close(probabilities(scores), scores.softmax(dim=1))


def test_classes_come_by_name_in_the_order_asked_for() -> None:
    found = named_predictions(SCORES[0], [2, 0], NAMES)
    assert [(p.index, p.name, p.score) for p in found] == [(2, "fish", 2.0), (0, "class 0", 1.0)]
    expected = SCORES[0].double().softmax(dim=0)
    assert [p.probability for p in found] == pytest.approx(expected[[2, 0]].tolist())


@pytest.mark.parametrize(
    "output", [SCORES, SimpleNamespace(logits=SCORES), {"scores": SCORES}, (SCORES,)]
)
def test_the_first_are_those_with_the_highest_scores(output) -> None:
    assert [p.index for p in top_predictions(output, None, 3)] == [1, 2, 0]


def test_half_precision_is_read_in_full() -> None:
    (first,) = top_predictions(SCORES.bfloat16(), None, 1)
    assert first.probability == pytest.approx(float(SCORES[0].double().softmax(0)[1]))


@pytest.mark.parametrize(
    "output", [torch.zeros(1, 1), torch.zeros(1, 3, 2), {"a": SCORES, "b": -SCORES}, "none"]
)
def test_an_output_without_a_score_per_class_has_none(output) -> None:
    assert top_predictions(output, None) == ()


def test_of_equal_scores_the_first_comes_first() -> None:
    scores = torch.zeros(1, 64)
    scores[0, [9, 40, 63]] = 1.0
    assert [p.index for p in top_predictions(scores, None, 4)] == [9, 40, 63, 0]
    assert top_predictions(scores, None, 1)[0].index == int(scores.argmax())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_logarithms_are_those_of_the_probabilities(dtype: torch.dtype) -> None:
    rows = torch.tensor([[1.0, 2.0, -3.0], [0.25, 0.75, 0.0], [1000.0, 0.0, -1000.0]], dtype=dtype)
    found = log_probabilities(rows)
    expected = probabilities(rows.double())[:2].log()
    torch.testing.assert_close(found[0].double(), expected[0], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(found[1, :2].double(), expected[1, :2], atol=1e-6, rtol=1e-4)
    assert float(found[2, 2]) == -2000.0  # of which the probability is zero
    assert bool(found.isfinite().all())

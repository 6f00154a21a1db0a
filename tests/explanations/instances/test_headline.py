"""The sentences of a headline, on the network whose channels see one corner each."""

import pytest
import torch

from captum_influence import ClassScore, Point, explain
from captum_influence.explanations.instances.headline import answer_in_words
from captum_influence.network.predictions import Prediction

NAMES = ["red", "green", "dark"]


def test_a_comparison_is_named_with_its_rival(model, image) -> None:
    asked = ClassScore(0) - ClassScore(1)
    at = {"class_names": NAMES, "distribution": Point(), "smoothing": 0}
    found = explain(model, image, "relu", quantity=asked, **at)
    answer, unit, tested, agreement, place = found.headline.split(". ")
    assert answer == "The network says red (over 99\u00a0%) rather than green"
    assert unit == (
        "Channel 0 of relu raises score(red) − score(green) most, with 89\u00a0% of all "
        "contributions there"
    )
    assert tested == (
        "Removing it (0 in its place) lowers score(red) − score(green) by 16.0; estimated: 16.0"
    )
    assert agreement == (
        "Over all 3 units of the layer, removed one by one, estimate and effect have a rank "
        "correlation of 1.00"
    )
    assert place == (
        "100\u00a0% of what raises this through it lies in one region, in the upper left of the "
        "picture."
    )


@pytest.mark.parametrize(
    "asked",
    [
        ClassScore(1) - ClassScore(0),  # the predicted class is the second
        ClassScore(0) + ClassScore(1),
        ClassScore(0) - ClassScore(1) - ClassScore(2),
        ClassScore(0),
    ],
)
def test_other_questions_have_no_rival(model, image, asked) -> None:
    found = explain(model, image, "relu", quantity=asked)
    assert found.rival is None
    assert "rather than" not in found.headline


def test_a_user_s_group_begins_the_sentence(model, image) -> None:
    found = explain(model, image, "relu", 0, axis={"eyes": [0, 1], "none": [2]}, top=1)
    assert "Eyes of relu raises score(class 0) most" in found.headline


def test_when_nothing_raises_it_that_is_said(model, image) -> None:
    found = explain(model, image, "relu", quantity=2, top=1)
    assert found.headline.endswith("No channel of relu raises score(class 2).")


def test_of_a_unit_itself_its_own_map_is_meant(model, image) -> None:
    found = explain(model, image, "relu", 0, focus="unit", top=1)
    assert "of what raises it lies in one region, in the" in found.headline


def test_a_map_that_is_spread_out_is_called_so(model) -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.float64)
    for row, column in ((0, 0), (0, 4), (3, 7), (6, 1), (6, 6)):  # a fifth each
        image[0, row, column] = 1.0
    found = explain(model, image, "relu", 0, focus="unit", top=1, smoothing=0, percentile=0.0)
    assert found.headline.endswith(
        "What raises it is spread out: the strongest region, in the upper left of the picture, "
        "holds 20\u00a0%."
    )


def test_a_network_without_classes_says_nothing_of_them() -> None:
    assert answer_in_words((), None) == ""
    said = (Prediction(0, "red", 1.0, 0.25),)
    assert answer_in_words(said, "green") == "The network says red (25\u00a0%) rather than green."

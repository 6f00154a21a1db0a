"""The sentences of a headline, on the network whose channels see one corner each."""

import pytest
import torch

from captum_influence import ClassScore, Point, explain
from captum_influence.explanations.instances.headline import answer_in_words, strongest_in_words
from captum_influence.network.predictions import Prediction
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization.numbers import percent

NAMES = ["red", "green", "dark"]


def test_a_comparison_is_named_with_its_rival(model, image) -> None:
    asked = ClassScore(0) - ClassScore(1)
    at = {"class_names": NAMES, "distribution": Point(), "smoothing": 0}
    found = explain(model, image, "relu", quantity=asked, **at)
    answer, estimate, agreement, place = found.headline.split(". ")
    assert found.answer == f"{answer}."
    assert answer == (
        "The network says red (over 99\u00a0%) rather than green; channel 0 of relu raises that "
        f"most: without it, it says green ({percent(found.without[0].probability)}), its lead "
        "16.0 lower"
    )
    assert estimate == (
        "Removed, it has 0 in its place; the estimate was 16.0, 89\u00a0% of all contributions "
        "there"
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
    assert "; eyes of relu raises that most: without it, " in found.headline


def test_when_nothing_raises_it_that_is_said(model, image) -> None:
    found = explain(model, image, "relu", quantity=2, top=1)
    assert found.headline.endswith("; no channel of relu raises score(class 2).")


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
    assert answer_in_words(said, "green") == "The network says red (25\u00a0%) rather than green"


def test_ties_and_small_probabilities_are_said() -> None:
    tied = [Prediction(i, name, 1.0, 0.4) for i, name in enumerate(("red", "green"))]
    assert answer_in_words(tied, None) == "The network ties red and green (40\u00a0% each)"
    unsure = [Prediction(0, "red", 1.0, 0.03), Prediction(1, "green", 0.5, 0.001)]
    words = answer_in_words(unsure, None, targets=[1])
    assert words == (
        "The network hardly knows: its first answer is red, with only 3\u00a0%, and gives green "
        "under 1\u00a0%"
    )


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ((0,), "raises that most: without it, still red, its score 2.00 lower"),
        ((0, 1), "raises that most: without it, still red, its lead 2.00 lower"),
        ((1,), "raises q most: without it, still red, q 2.00 lower"),
        ((), "raises q most: without it, still red, q 2.00 lower"),
    ],
)
def test_what_falls_is_called_after_what_was_asked(targets, words) -> None:
    said, unit = Prediction(0, "red", 3.0, 0.9), UnitInfluence("channel", (7,), 1.0, 0.5)
    asked = {"said": said, "targets": targets, "lost": 2.0, "without": said}
    assert strongest_in_words(unit, "relu", "q", **asked) == f"channel 7 of relu {words}"

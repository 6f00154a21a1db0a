"""The page of two classes."""

import pytest
import torch
from eyeing import twin_scenes
from paged import HOSTILE, SCRIPT, Page

from captum_influence import Pair, pair

NAMES = ["red", "green", "dark"]


def separated(model, **settings) -> Pair:
    asked = {"ks": (1, 2), "examples": 1, "class_names": NAMES, "replace": "zero"} | settings
    return pair(model, twin_scenes(), "relu", 0, 1, **asked)


def test_each_class_has_its_units_and_their_cards(model) -> None:
    shown = Page(separated(model).page("captum-influence pair").html())
    assert [a["id"] for a in shown.all("details") if a["class"] == "card"] == ["unit-a1", "unit-b1"]
    assert {a["href"] for a in shown.all("a")} == {"#unit-a1", "#unit-b1"}
    for words in ("evidence for red", "evidence for green", "captum-influence pair"):
        assert words in shown.text
    assert len(shown.all("picture")) == 2  # the curves of either class


def test_figures_are_named_after_what_they_show(model) -> None:
    assert [name for name, _ in separated(model).page().figures()] == [
        *("overview", "units", "moves1", "moves2"),
        *("unit1", "unit1_mask1", "unit2", "unit2_mask1"),
    ]


def test_what_may_be_chance_has_a_question_mark(model) -> None:
    ((images, _),) = twin_scenes()
    mixed = [(images[[0, 3, 1, 4]], torch.tensor([0, 0, 1, 1]))]  # of either a red and a green
    found = pair(model, mixed, "relu", 0, 1, examples=1)
    shown = Page(found.page().html())
    unclear = [
        attributes for attributes in shown.all("tr") if "unclear" in attributes.get("class", "")
    ]
    assert len(unclear) == sum(len(side.units) for side in found.sides) > 0
    assert "channel 0 ?" in " ".join(shown.text.split())


def test_without_right_answers_it_says_that_nothing_was_tried(model) -> None:
    ((images, labels),) = twin_scenes()
    shown = Page(separated(model, held_out=[(images, 1 - labels)]).page().html())
    assert "It can't be tried: no picture of either class is answered right." in shown.text
    assert not shown.all("picture")


def test_a_class_without_units_says_so(model) -> None:
    dark = [(torch.zeros(4, 3, 8, 8).double(), torch.tensor([0, 0, 1, 1]))]
    text = Page(pair(model, dark, "relu", 0, 1, class_names=NAMES).page().html()).text
    assert "No channel is evidence for red." in text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_can_not_break_out(model, name) -> None:
    shown = Page(separated(model, class_names=[name, "green", "dark"]).page().html())
    assert name in shown.text
    assert shown.scripts == [SCRIPT]

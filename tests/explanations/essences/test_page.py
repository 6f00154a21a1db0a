"""The page of a class."""

import pytest
from eyeing import RED, red_scenes
from paged import HOSTILE, SCRIPT, Page

from captum_influence import essence, prototype

NAMES = ["red", "green"]


def test_every_unit_has_its_card_with_what_it_looks_at(model) -> None:
    found = essence(model, red_scenes(), "relu", 0, top=2, examples=2, class_names=NAMES)
    shown = Page(found.page("captum-influence essence").html())
    assert [a["id"] for a in shown.all("details") if a["class"] == "card"] == ["unit-1", "unit-2"]
    links = {a["href"] for a in shown.all("a")}
    assert links <= {"#unit-1", "#unit-2"}
    assert "4 of the 4 pictures where it is most active are red" in shown.text
    assert "it still tells red from the rest: 1.00, where 1 is always right" in shown.text
    assert shown.text.count(found.sentences[1]) == 0  # its numbers are the tiles'
    assert "captum-influence essence" in shown.text
    assert "the same pictures that the units were chosen on" in shown.text


def test_figures_are_named_after_what_they_show(model) -> None:
    found = essence(model, red_scenes(), "relu", 0, top=1, examples=1, class_names=NAMES)
    assert [name for name, _ in found.page().figures()] == [
        *("overview", "units", "recall_curves", "f1_curves", "unit1", "unit1_mask1"),
        "unit1_active",
    ]


def test_held_out_pictures_take_a_caveat_away(model) -> None:
    tried = essence(model, red_scenes(), "relu", 0, top=1, examples=1, held_out=red_scenes())
    text = Page(tried.page().html()).text
    assert "on pictures that the units weren't chosen on" in text
    assert "flatters them" not in text


def test_without_a_rest_nothing_is_said_of_telling(model) -> None:
    alone = essence(model, red_scenes(others=0), "relu", 0, top=1, examples=1, class_names=NAMES)
    text = Page(alone.page().html()).text
    assert "There were no pictures of other classes" in text
    assert "with nothing but k of them" not in text
    assert "elsewhere" not in text


def test_few_pictures_are_warned_of(model) -> None:
    one = essence(model, red_scenes(RED[:1]), "relu", 0, top=1, examples=1, class_names=NAMES)
    assert "There is only 1 picture of red" in Page(one.page().html()).text


def test_a_prototype_stands_first(model) -> None:
    made = prototype(model.float(), 0, size=8, steps=2, class_names=NAMES)
    found = essence(model.double(), red_scenes(), "relu", 0, top=1, examples=1, prototype=made)
    assert "Prototype: a picture made for score(red)" in Page(found.page().html()).text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_can_not_break_out(model, name) -> None:
    found = essence(model, red_scenes(), "relu", 0, top=1, examples=1, class_names=[name, "green"])
    shown = Page(found.page().html())
    assert name in shown.text
    assert shown.scripts == [SCRIPT]

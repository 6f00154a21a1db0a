"""The page of experts."""

import pytest
from eyeing import pictures
from paged import HOSTILE, SCRIPT, Page

from captum_influence import expert_curves

RANKINGS = {"by hand": [1, 0, 2], "random": [2, 0, 1]}


def page(model, **settings) -> Page:
    found = expert_curves(model, pictures(), "relu", 1, RANKINGS, **settings)
    return Page(found.page("captum-influence expert").html())


def test_each_ranking_has_its_row_beside_the_whole_network(model) -> None:
    names = ["red", "green"]
    found = expert_curves(model, pictures(), "relu", 1, RANKINGS, class_names=names)
    shown = Page(found.page("captum-influence expert").html())
    assert "the whole network" in shown.text
    assert all(name in shown.text for name in RANKINGS)
    alike = len(set(zip(found.best_k.values(), found.best.values(), strict=True)))
    assert sum(name == "tr" for name, _ in shown.tags) == 1 + 1 + alike
    assert len(shown.all("picture")) == 1 + 4
    assert "10 of green, 10 of others" in shown.text
    assert "captum-influence expert" in shown.text


@pytest.mark.parametrize(
    ("mode", "words", "others"),
    [
        ("keep", "The best expert of each ranking", "has the largest effect"),
        ("remove", "Where each ranking has the largest effect", "The best expert"),
    ],
)
def test_it_says_whether_units_were_kept_or_removed(model, mode, words, others) -> None:
    shown = page(model, mode=mode, replace=0.25)
    assert words in shown.text
    assert others not in shown.text
    assert "by 0.25" in shown.text


def test_figures_are_one_overview(model) -> None:
    found = expert_curves(model, pictures(), "relu", 1, RANKINGS)
    assert [name for name, _ in found.page().figures()] == ["overview"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_can_not_break_out(model, name) -> None:
    found = expert_curves(
        model, pictures(), "relu", 1, {name: [1, 0, 2]}, class_names=["red", name]
    )
    shown = Page(found.page().html())
    assert name in shown.text
    assert shown.scripts == [SCRIPT]

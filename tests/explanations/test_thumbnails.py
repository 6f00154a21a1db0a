"""What pages show, small, of a unit in several pictures."""

import dataclasses
import re

import pytest
import torch
from eyeing import red_scenes

from captum_influence import essence
from captum_influence.explanations.thumbnails import (
    Part,
    best_part,
    glances,
    in_words,
    joint_limit,
    look_figures,
    mask_figure,
    pictured,
    thumbnail,
)
from captum_influence.units.exemplars import Look
from captum_influence.units.interpreted import Example, InterpretedUnit
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.shown.series import SeriesDisplay
from captum_influence.units.shown.texts import TextDisplay
from captum_influence.visualization import maps


@pytest.fixture
def looks(model):
    found = essence(model, red_scenes(), "relu", 0, top=2, smoothing=0, class_names=["red"])
    return [row.looks for row in found.units]


def test_one_scale_ends_where_that_of_all_maps_together_does(looks) -> None:
    everything = torch.cat([look.seen.map.flatten().float() for look in looks[0]])
    assert joint_limit(looks[0]) == maps.limit(everything)
    assert joint_limit([]) == maps.limit(torch.zeros(1))


def test_glances_hold_pictures_and_say_whose(looks) -> None:
    shown = glances(looks[0], 1.0, in_words)
    assert [glance.number for glance in shown] == [look.example.number for look in looks[0]]
    assert shown[0].caption == "red, 11.0"  # of 16, less the mean over the loader
    assert all(g.heat.startswith("data:image/png;base64,") for g in shown)
    assert all(g.mask.startswith("data:image/png;base64,") for g in shown)


def test_the_first_picture_with_a_region_gives_the_crop(looks) -> None:
    assert best_part(looks[0]) == best_part(looks[0][:1])
    assert best_part(looks[0]) != best_part(looks[0][1:])
    assert best_part(looks[1]) is None  # nothing passes through the second eye to the red class
    assert best_part([*looks[1], *looks[0]]) == best_part(looks[0])


def of_text(values: list[float]) -> Look:
    display = TextDisplay(("a", "' good'", "book"))
    seen = display.highlight(torch.tensor(values))
    unit = UnitInfluence("channel", (3,), 1.0, 0.5)
    example = Example(
        kind="contribution", number=7, label=0, value=1.0, display=display, label_name="kind"
    )
    return Look(example, InterpretedUnit(unit=unit, seen=seen))


def test_texts_are_lines_of_tokens_on_one_scale() -> None:
    looks = [of_text([0.0, 4.0, -1.0]), of_text([0.0, 1.0, 0.0])]
    shown = glances(looks, joint_limit(looks), in_words)
    assert [glance.caption for glance in shown] == ["kind, 1.00", "kind, 1.00"]
    assert all(g.heat == g.mask == "" and g.fragment and "good" in g.fragment for g in shown)
    strongest = [max(map(float, re.findall(r"([\d.]+)%", g.fragment or ""))) for g in shown]
    assert strongest[1] == pytest.approx(strongest[0] / 4, rel=0.05)
    assert best_part(looks) == Part(text="' good'")
    assert best_part([of_text([-1.0, -2.0, 0.0])]) is None
    assert pictured(looks) == []
    assert [name for name, _ in look_figures(looks[0], "what it does")] == ["map"]


def test_a_mask_is_drawn_over_its_picture(looks) -> None:
    (axes,) = mask_figure(looks[0][0]).axes
    assert axes.images


def test_a_picture_becomes_a_small_one_with_what_the_unit_sees(looks) -> None:
    example = looks[0][0].example
    plain = thumbnail(example)
    assert (plain["label"], plain["value"]) == ("red", example.value)
    assert plain["image"].startswith("data:image/png;base64,")
    assert plain["crop"] is plain["fragment"] is None
    assert thumbnail(dataclasses.replace(example, box=(0, 0, 4, 4)))["crop"] is not None


def test_another_display_becomes_a_fragment() -> None:
    series = Example(
        kind="activation",
        number=3,
        label=None,
        value=2.0,
        display=SeriesDisplay(torch.rand(2, 9), 95.0),
    )
    shown = thumbnail(series)
    assert shown["image"] is shown["crop"] is None
    assert "<img" in shown["fragment"]

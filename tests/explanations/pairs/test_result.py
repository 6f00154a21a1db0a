"""A pair as a finding: what it says of what was measured, and what it keeps."""

import math

import pytest
import torch
from eyeing import twin_scenes

from captum_influence import Pair, pair
from captum_influence.explanations import Moves, SeparatingUnit, Side
from captum_influence.testing import check_finding
from captum_influence.units.ranking import UnitInfluence

NAMES = ["red", "green", "dark"]


def separating(value: float, error: float | None, *active: float) -> SeparatingUnit:
    unit = UnitInfluence("channel", (0,), value, 0.5, standard_error=error)
    first, second = active
    return SeparatingUnit(
        unit=unit, on_first=2.0, on_second=-1.0, active_first=first, active_second=second
    )


@pytest.fixture
def found(model) -> Pair:
    asked = {"ks": (1, 2), "examples": 1, "class_names": NAMES, "replace": "zero"}
    return pair(model, twin_scenes(), "relu", 0, 1, **asked)


def test_a_unit_is_evidence_for_the_class_on_whose_pictures_it_is_active() -> None:
    assert separating(3.0, 1.0, 2.0, -1.0).is_for_first
    assert not separating(3.0, 1.0, 1.0, -2.0).is_for_first


def test_a_difference_is_clear_above_two_standard_errors_or_if_these_arent_known() -> None:
    assert separating(3.0, 1.4, 2.0, -1.0).is_clear
    assert not separating(3.0, 1.6, 2.0, -1.0).is_clear
    unknown = separating(3.0, None, 2.0, -1.0)
    assert math.isnan(unknown.error)
    assert unknown.is_clear


def test_the_best_number_of_units_moves_half_of_the_most_with_the_fewest() -> None:
    moves = Moves(
        ks=(1, 2, 4, 8),
        answers=10,
        moved={"contribution": (0.1, 0.4, 0.7, 0.6), "random": (0.0, 0.1, 0.2, 0.3)},
        left={"contribution": (0.1, 0.5, 0.7, 0.9), "random": (0.0, 0.1, 0.2, 0.3)},
    )
    side = Side(target=0, name="red", count=3, units=(), effects=None, moves=moves)
    assert side.best() == (2, 0.4, 0.1)


def test_the_headline_says_what_was_measured(found) -> None:
    assert found.headline.startswith(
        "What separates red from green in relu: channel 0 is evidence for"
    )
    assert "100\u00a0% of 3 answers “red” become “green”" in found.headline


def test_the_table_names_the_class_of_each_unit(found) -> None:
    pytest.importorskip("pandas")
    table = found.to_frame()
    assert table["class"].tolist() == ["red", "green"]
    assert table["name"].tolist() == ["channel 0", "channel 1"]
    assert table["value"].sum() == pytest.approx(found.margins[0] - found.margins[1])
    assert table["is_clear"].all()


def test_it_keeps_the_contract(model, found) -> None:
    loader = twin_scenes()
    names = {"model": model, "loader": loader, "held_out": loader}
    assert found.profile.call == f"{found.call}.profile"
    asked = {"held_out": loader, "replace": "mean", "class_names": NAMES, "percentile": 80.0}
    other = pair(model, loader, model.relu, "green", "red", top=1, examples=1, **asked)
    check_finding(other, names)


def test_what_is_kept_is_what_was_found(found, tmp_path) -> None:
    found.save(tmp_path)
    again = Pair.load(tmp_path)
    assert again.headline == found.headline
    for side, same in zip(found.sides, again.sides, strict=True):
        assert side.moves == same.moves
        assert torch.equal(side.units[0].looks[0].seen.map, same.units[0].looks[0].seen.map)

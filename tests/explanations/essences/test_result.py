"""An essence as a finding: what it says of what was measured, and what it keeps."""

import math

import pytest
import torch
from asking import again
from eyeing import RED, red_scenes

from captum_influence import Essence, essence, prototype
from captum_influence.testing import check_finding

NAMES = ["red", "green"]


@pytest.fixture
def found(model) -> Essence:
    asked = {"top": 2, "examples": 1, "class_names": NAMES, "replace": "zero"}
    return essence(model, red_scenes(), "relu", 0, **asked)


def test_the_headline_says_what_was_measured(found) -> None:
    assert found.headline.startswith("To this network, red is first of all channel 0 of relu: ")
    assert "Of 4 pictures of red it recognises 100\u00a0%; without its strongest" in found.headline


def test_the_headline_of_what_nothing_raises(model) -> None:
    asked = {"quantity": 2, "class_names": NAMES, "replace": "zero"}  # minus both
    dark = essence(model, red_scenes(), "relu", 0, **asked)
    assert dark.headline.startswith("No channel of relu raises score(class 2).")
    assert [row.unit.index for row in dark.against] == [(0,), (1,)]


def test_the_expert_is_the_first_of_its_curves(model, found) -> None:
    by, k = found.chosen
    assert k == found.kept.best_k[by]
    again = found.expert(model)
    assert f"keep {k} units" in repr(again)


def test_one_picture_has_no_standard_error(model) -> None:
    found = essence(model, red_scenes(RED[:1]), "relu", 0)
    assert math.isnan(found.units[0].contribution_error)
    assert found.units[0].unit.standard_error is None
    assert found.to_dict()["units"][0]["contribution_error"] is None
    assert found.plot() is not None


def test_a_prototype_lies_beside_it(model) -> None:
    made = prototype(model.float(), 0, size=8, steps=2)
    model.double()
    found = essence(model, red_scenes(), "relu", 0, prototype=made)
    assert found.to_dict()["prototype"]["value"] == made.value
    assert len(found.plot().axes) > len(essence(model, red_scenes(), "relu", 0).plot().axes)


def test_the_table_ends_with_what_lowers_the_quantity(model) -> None:
    pytest.importorskip("pandas")
    dark = essence(model, red_scenes(), "relu", 0, quantity=2, top=1, replace="zero")
    table = dark.to_frame()
    assert table["name"].tolist() == ["channel 2", "channel 0"]
    assert table["influence"].tolist() == pytest.approx([0.0, -1.0])
    assert table["activation"].tolist()[1] == pytest.approx(4 * float(RED.mean()))


def test_it_keeps_the_contract(model) -> None:
    loader, held_out = red_scenes(), red_scenes(others=2)
    tried = {"held_out": held_out, "replace": "mean", "ks": (1, 2)}
    asked = {"by": "contribution", "top": 1, "examples": 1, "class_names": NAMES}
    found = essence(model, loader, model.relu, "red", **tried, **asked)
    check_finding(found, {"model": model, "loader": loader, "held_out": held_out})


def test_its_parts_are_findings_of_the_same_call(model, found) -> None:
    for part in ("influences", "contributions", "kept", "removed"):
        assert getattr(found, part).call == f"{found.call}.{part}"
    same = again(found.removed, model=model, loader=red_scenes())
    assert same.counts == found.removed.counts
    assert "random" in same.counts  # five draws, added up


def test_what_is_kept_is_what_was_found(found, tmp_path) -> None:
    found.save(tmp_path)
    again = Essence.load(tmp_path)
    look, same = found.units[0].looks[0], again.units[0].looks[0]
    assert torch.equal(look.seen.mask, same.seen.mask)
    assert again.chosen == found.chosen
    assert again.headline == found.headline

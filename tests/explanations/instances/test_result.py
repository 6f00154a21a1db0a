"""What an explanation says of its question, tabulates and keeps."""

import json
import math
from dataclasses import replace

import pytest
import torch
from asking import again
from torch import Tensor

from captum_influence import ClassScore, Explanation, explain
from captum_influence.testing import check_finding

NAMES = ["red", "green", "dark"]


def test_the_call_asks_the_same_again(model, image) -> None:
    asked = ClassScore(0) - 0.5 * ClassScore(1)
    found = explain(model, image, "relu", quantity=asked, top=2, axis="position", smoothing=1)
    same = again(found, model=model, image=image)
    assert [row.unit for row in same.units] == [row.unit for row in found.units]
    torch.testing.assert_close(same.units[0].map, found.units[0].map, rtol=0, atol=0)


@pytest.mark.parametrize("masks", [False, True])
def test_the_call_holds_the_user_s_groups(model, image, masks: bool) -> None:
    upper = torch.zeros(3, 2, 2, dtype=torch.bool)
    upper[:, 0] = True
    groups = {"upper": upper} if masks else {"eyes": [0, 1], "none": [2]}
    found = explain(model, image, "relu", 0, axis=groups, top=1)
    same = again(found, model=model, image=image)
    assert same.units[0].unit == found.units[0].unit
    torch.testing.assert_close(same.units[0].map, found.units[0].map, rtol=0, atol=0)


def test_it_keeps_what_every_finding_promises(model, image) -> None:
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    loader = [(images, torch.tensor([0, 1, 2]))]
    found = explain(model, image, "relu", 0, loader=loader, class_names=NAMES, top=2)
    check_finding(found, {"model": model, "image": image, "loader": loader})


def test_what_is_saved_comes_back(model, image, tmp_path) -> None:
    loader = [(torch.rand(3, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2]))]
    found = explain(model, image, "relu", quantity=0, top=3, loader=loader, class_names=NAMES)
    binary, text = found.save(tmp_path / "there")
    assert (text.name, binary.name) == ("explanation.json", "explanation.safetensors")
    back = Explanation.load(tmp_path / "there")
    assert json.dumps(back.to_dict()) == json.dumps(found.to_dict())
    assert back.call == found.call
    for mine, theirs in zip(back.units, found.units, strict=True):
        assert (mine.unit, mine.regions, mine.box) == (theirs.unit, theirs.regions, theirs.box)
        assert torch.equal(mine.map, theirs.map)
        assert torch.equal(mine.mask, theirs.mask)
        assert torch.equal(mine.examples[0].image, theirs.examples[0].image)
        assert [e.box for e in mine.examples] == [e.box for e in theirs.examples]
    assert torch.equal(back.values, found.values)
    found.save(tmp_path / "mine.json")
    assert Explanation.load(tmp_path / "mine.safetensors").headline == found.headline


def test_what_isn_t_a_saved_explanation_is_refused(model, image, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no explanation\.safetensors"):
        Explanation.load(tmp_path)
    binary, _ = explain(model, image, "relu", top=1).save(tmp_path)
    binary.write_bytes(binary.read_bytes()[:-9])
    with pytest.raises(ValueError, match="cut off, damaged or something else"):
        Explanation.load(tmp_path)


def test_json_holds_no_nan(model, image, tmp_path) -> None:
    found = replace(explain(model, image, "relu", top=1), value=math.nan)
    _, text = found.save(tmp_path)
    assert json.loads(text.read_text(), parse_constant=pytest.fail)["value"] is None


def test_the_table_names_those_that_lower_it_last(model, image) -> None:
    pytest.importorskip("pandas")
    asked = {"versus": 1, "top": 1, "distribution": None}
    table = explain(model, image, "relu", 0, **asked).to_frame()
    assert table["name"].tolist() == ["channel 0", "channel 1"]
    assert table["value"].tolist() == pytest.approx([16.0, -2.0])
    assert table["activation"].tolist() == [32.0, 2.0]


def test_the_figure_has_a_column_for_each_unit(model, image) -> None:
    found = explain(model, image, "relu", 0, top=2)
    titles = [axes.get_title() for axes in found.plot().axes]
    assert [t for t in titles if t.startswith("channel")] == [
        "channel 0\n+100\u00a0%",
        "channel 1\n+0\u00a0%",
    ]


def test_the_picture_is_the_one_that_was_given(model, image) -> None:
    def dark(one: Tensor) -> Tensor:
        return one / 2

    given = torch.full((3, 8, 8), 0.25)
    assert torch.equal(explain(model, image, "relu", 0, picture=given).picture, given)
    torch.testing.assert_close(
        explain(model, image, "relu", 0, display=dark).picture, image.float() / 2
    )

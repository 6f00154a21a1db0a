"""What a wrong answer's finding says, draws, tabulates and keeps."""

from dataclasses import replace

import pytest
import torch
from voting import ALL_ON, Eyes, voters

from captum_influence import Counterfactual, Expert, counterfactual
from captum_influence.testing import check_finding

NAMES = ["fish", "tree", "rock"]


def asked(**settings) -> Counterfactual:
    return counterfactual(voters(), ALL_ON, "0", true=1, class_names=NAMES, **settings)


def test_the_headline_says_no_more_than_was_measured() -> None:
    alone = asked(controls=0, wrong_classes=False)
    assert alone.headline == (
        "The network says fish; the truth is tree. Without 1 channel of 0 it says tree."
    )
    labels = torch.tensor([0, 1])
    damaged = asked(controls=3, loader=[(torch.eye(5).double()[[0, 3]], labels)])
    once = replace(damaged, controls=replace(damaged.controls, to_true=1))
    assert "Of 3 random draws of 1 active channel, 1 leads to tree." in once.headline
    twice = replace(damaged, controls=replace(damaged.controls, to_true=2))
    assert "2 lead to tree." in twice.headline
    assert damaged.headline.endswith(
        "Accuracy on 2 other inputs: 100.0\u00a0% before, 100.0\u00a0% after."
    )


def test_the_network_without_the_units_gives_the_same_answer() -> None:
    model = voters()
    found = counterfactual(model, ALL_ON, "0", true=1)
    expert = found.expert(model, "0")
    assert isinstance(expert, Expert)
    scores = expert(ALL_ON)[0].detach()
    assert int(scores.argmax()) == 1
    assert float(scores[0] - scores[1]) == pytest.approx(found.margins[-1])


def test_the_table_has_a_row_for_each_removal() -> None:
    pytest.importorskip("pandas")
    found = counterfactual(voters(), ALL_ON * 0.5, "0", true=1, controls=0)
    table = found.to_frame()
    assert table["removed"].tolist() == [0, 1]
    assert table["name"].tolist() == ["", "channel 0"]
    assert table["margin"].tolist() == pytest.approx([0.75, -0.75])


def test_it_keeps_what_every_finding_promises() -> None:
    pictures = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    loader = [(pictures, torch.tensor([0, 0, 1]))]
    given = {"true": "tree", "class_names": NAMES, "replace": "mean", "loader": loader}
    found = counterfactual(Eyes(), pictures[0], "vote.0", **given)
    check_finding(found, {"model": Eyes(), "image": pictures[0], "loader": loader})


def test_what_is_saved_comes_back(tmp_path) -> None:
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    loader = [(pictures, torch.tensor([0, 0]))]
    found = counterfactual(Eyes(), pictures[0], "vote.0", true=1, loader=loader)
    found.save(tmp_path)
    back = Counterfactual.load(tmp_path)
    assert back.to_dict() == found.to_dict()
    assert back.controls == found.controls
    assert back.axis == found.axis
    assert torch.equal(back.picture, found.picture)
    assert torch.equal(back.seen[0].map, found.seen[0].map)


def test_maps_add_up_to_what_each_unit_contributes() -> None:
    """The layer is linear in the picture: the path passes on all of a unit's contribution."""
    picture = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    found = counterfactual(Eyes(), picture, "vote.0", true=1, controls=0)
    for unit, row in zip(found.units, found.seen, strict=True):
        assert float(row.map.sum()) == pytest.approx(unit.value)
    whole = counterfactual(Eyes(), picture, "vote.0", true=1, controls=0, focus="unit")
    assert whole.shown_by_map(whole.units[0]) == whole.units[0].name
    first = whole.units[0].index[0]
    activation = Eyes().look(picture).sum(dim=0).flatten()[first]
    assert float(whole.seen[0].map.sum()) == pytest.approx(float(activation.detach()))

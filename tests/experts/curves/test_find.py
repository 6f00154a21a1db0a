"""Curves, beside experts that are built and run one by one."""

import pytest
import torch
from eyeing import pictures

from captum_influence import Expert, expert_curves, rank_units
from captum_influence.units.replacement import MeanActivation
from captum_influence.units.units_of import UnitsOf

RANKINGS = {"given": [2, 1, 0], "turned": [0, 1, 2]}


@pytest.mark.parametrize("mode", ["keep", "remove"])
@pytest.mark.parametrize("replace", [0, 0.3, "mean"])
def test_curves_agree_with_experts_that_are_run(model, mode, replace) -> None:
    loader = pictures()
    images, labels = loader[0]
    curves = expert_curves(model, loader, "relu", 1, RANKINGS, mode=mode, replace=replace)
    assert curves.ks == (1, 2, 3)
    settings = {"reference": loader} if replace == "mean" else {}
    for name, order in RANKINGS.items():
        for i, k in enumerate(curves.ks):
            expert = Expert(model, "relu", order[:k], mode, replace, **settings)
            said, true = expert(images).argmax(1) == 1, labels == 1
            counts = curves.counts[name][i]
            assert counts.hits == int((said & true).sum())
            assert counts.false_alarms == int((said & ~true).sum())
            assert counts.accuracy == float((said == true).double().mean())


def test_batches_are_counted_together(model) -> None:
    ((images, labels),) = pictures()
    apart = [(images[:7], labels[:7]), (images[7:], labels[7:])]
    whole, parts = (expert_curves(model, x, "relu", 0, RANKINGS) for x in (pictures(), apart))
    assert parts.counts == whole.counts
    assert parts.whole == whole.whole


def test_units_are_counted_along_the_axis_that_is_said(model) -> None:
    places = {"places": [(0, 0), (1, 1)]}
    said = expert_curves(model, pictures(), "relu", 0, places, axis="position")
    ranked = rank_units(torch.tensor([[[[2.0, 0.0], [0.0, 1.0]]] * 3]), axis="position", top=2)
    known = expert_curves(model, pictures(), "relu", 0, {"places": ranked})
    units = UnitsOf("relu", "position")
    layer = expert_curves(model, pictures(), units, 0, places)
    assert said.counts == known.counts == layer.counts
    assert [unit.name for unit in said.rankings["places"]] == ["position (0, 0)", "position (1, 1)"]
    assert known.rankings["places"] == ranked.units  # with what they did
    with pytest.raises(TypeError, match="say it in one of the two"):
        expert_curves(model, pictures(), units, 0, places, axis="position")


def test_a_class_goes_by_its_name_too(model) -> None:
    names = ["red", "green", "dark"]
    found = expert_curves(model, pictures(), "relu", "green", RANKINGS, class_names=names)
    assert (found.target, found.name) == (1, "green")
    assert found.question == "green against the rest, by units of relu"


def test_ks_grow_by_half_octaves_up_to_all_units(model) -> None:
    neurons = [(c, i, j) for c in range(3) for i in range(2) for j in range(2)]
    found = expert_curves(model, pictures(), "relu", 0, {"all": neurons})
    assert found.ks == (1, 2, 3, 4, 6, 8, 11, 12)


def test_a_compiled_network_is_asked_without_what_wraps_it(model) -> None:
    compiled = torch.compile(model, backend="eager")
    found = expert_curves(compiled, pictures(), "relu", 0, RANKINGS)
    assert found.counts == expert_curves(model, pictures(), "relu", 0, RANKINGS).counts
    assert (found.network, found.layer) == ("TwoEyes", "relu")


def test_the_network_is_left_as_it_was(model, image) -> None:
    before = model(image[None])
    mean = MeanActivation(torch.rand(3, 2, 2).double())
    expert_curves(model, pictures(), "relu", 0, RANKINGS, replace=mean)
    assert torch.equal(model(image[None]), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ks": [4]}, ValueError, r"ks from 1 to the 3 ranked units, got \[4\]"),
        ({"rankings": {}}, ValueError, "at least one ranking"),
        ({"rankings": {"a": []}}, ValueError, "at least one ranking, of at least one unit"),
        ({"target": 2}, ValueError, "no image of class 2"),
        ({"target": 3}, ValueError, "a class from 0 to 2, got 3"),
        ({"loader": []}, ValueError, "the loader is empty"),
        ({"loader": [torch.ones(1, 3, 8, 8)]}, TypeError, r"\(images, labels\)"),
        ({"mode": "drop"}, ValueError, "got 'drop'"),
        ({"reference": torch.ones(1)}, TypeError, "no keyword 'reference'"),
    ],
)
def test_what_curves_cannot_be_drawn_of(model, change, error, message) -> None:
    arguments = {"rankings": {"a": [0, 1, 2]}, "loader": pictures(), "target": 0} | change
    with pytest.raises(error, match=message):
        expert_curves(model, layer="relu", **arguments)

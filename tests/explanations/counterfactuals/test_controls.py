"""What the finding is compared with: random units, wrong classes, other answers."""

import pytest
import torch
from torch import nn
from voting import ALL_ON, voters

from captum_influence import counterfactual


def test_random_sets_are_as_large_active_and_seeded() -> None:
    model = voters()
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0, -1.0]]).double()  # the last unit is silent
    found = [counterfactual(model, x, "0", true=1, controls=200, seed=s) for s in (0, 0, 1)]
    controls = found[0].controls
    assert controls is not None
    assert controls == found[1].controls != found[2].controls
    assert (controls.size, controls.sets) == (1, 200)
    # Of 6 to 4: removing the 3 flips, the 2 makes a tie that class 0 wins, the others don't.
    assert controls.to_true == controls.away
    assert controls.to_true / 200 == pytest.approx(1 / 4, abs=0.1)
    assert {round(m, 9) for m in controls.margins} == {-1.0, 0.0, 1.0, 6.0}


def test_collateral_damage_is_accuracy_before_and_after() -> None:
    model = voters()
    images = torch.eye(5, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1])
    loader = [(images[:3], labels[:3]), (images[3:], labels[3:])]
    damage = counterfactual(model, ALL_ON, "0", true=1, loader=loader, replace="zero").collateral
    assert damage is not None
    assert (damage.examples, damage.before) == (5, 1.0)
    # All scores of the first image become 0, and the first class wins ties.
    assert damage.after == 1.0
    labels[0] = 2
    asked = {"loader": [(images, labels)], "replace": "zero"}
    damage = counterfactual(model, ALL_ON, "0", true=1, **asked).collateral
    assert damage is not None
    assert (damage.before, damage.of_predicted) == (0.8, 2)
    assert 0 <= (damage.random or 0) <= 1


def test_random_damage_is_that_of_each_set_run_by_itself() -> None:
    """One silent unit, sets of one: every set is one of the four others."""
    model, x = voters(), torch.tensor([[1.0, 1.0, 1.0, 1.0, -1.0]]).double()
    images = torch.rand(40, 5, generator=torch.Generator().manual_seed(3)).double()
    labels = model(images).argmax(dim=1)
    asked = {"loader": [(images, labels)], "replace": "zero", "controls": 5}
    found = counterfactual(model, x, "0", true=1, **asked)
    kept = {}
    for unit in range(4):
        answers = model(images.index_fill(1, torch.tensor(unit), 0)).argmax(dim=1)
        kept[unit] = float((answers == labels).double().mean())
    # Which units the five sets were can be told by the margins that they left: 6 - 4 less theirs.
    taken = {-1.0: 0, 0.0: 1, 1.0: 2, 6.0: 3}
    drawn = [kept[taken[round(margin, 9)]] for margin in found.controls.margins]
    assert found.collateral.random == pytest.approx(sum(drawn) / 5)
    assert found.collateral.before == 1.0


def test_the_mean_takes_a_removed_units_place_on_other_inputs_too() -> None:
    """With a loader the mean is put in place, unless another is said: by hand on each input."""
    model = voters()
    images = torch.rand(30, 5, generator=torch.Generator().manual_seed(4)).double()
    labels = model(images).argmax(dim=1)
    found = counterfactual(model, ALL_ON, "0", true=1, loader=[(images, labels)])
    units = [unit.index[0] for unit in found.units]
    without = images.clone()
    without[:, units] = images.mean(dim=0)[units]
    right = (model(without).argmax(dim=1) == labels).double()
    assert found.collateral.after == pytest.approx(float(right.mean()))
    of_class = labels == 0
    assert found.collateral.of_predicted == int(of_class.sum())
    assert found.collateral.predicted_after == pytest.approx(float(right[of_class].mean()))


def test_wrong_classes_stand_around_the_true_one() -> None:
    """Units that raise one class each: those of the classes ahead have to go."""
    head = nn.Linear(6, 6, bias=False, dtype=torch.float64)
    head.weight = nn.Parameter(torch.eye(6).double())
    model = nn.Sequential(nn.ReLU(), head)
    scores = torch.tensor([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]).double()
    found = counterfactual(model, scores, "0", true=3)
    assert [(one.name, one.which, one.rank) for one in found.wrong[:2]] == [
        ("class 2", "above", 3),
        ("class 4", "below", 5),
    ]
    assert found.wrong[2].which == "random"
    assert found.wrong[2].name in ("class 1", "class 5")
    assert len(found.units) == 3
    assert [one.units for one in found.wrong] == [one.rank - 1 for one in found.wrong]
    assert found.nearer is False  # two for the class above
    second = counterfactual(model, scores, "0", true=1)  # the one above it is what is said
    assert [one.which for one in second.wrong] == ["below", "random"]
    assert second.nearer is True
    unasked = counterfactual(model, scores, "0", true=1, wrong_classes=False)
    assert (unasked.wrong, unasked.nearer) == (None, None)


def test_the_verdict_claims_no_cause_where_a_wrong_class_is_as_near() -> None:
    """Two classes of the same score, which the same unit holds down."""
    head = nn.Linear(2, 4, bias=False, dtype=torch.float64)
    head.weight = nn.Parameter(
        torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 1.9], [0.0, 0.0]]).double()
    )
    model, x = nn.Sequential(nn.ReLU(), head), torch.ones(1, 2).double()
    found = counterfactual(model, x, "0", true=2, controls=0)
    assert found.outcome == "other"  # class 1 is always ahead of it
    near = counterfactual(model, x, "0", true=1, controls=0)
    assert (near.flipped, len(near.units)) == (True, 1)
    assert near.nearer
    head.weight.data[2] = torch.tensor([2.5, 1.0])  # 3.5, ahead of all: said now
    head.weight.data[0] = torch.tensor([3.0, 0.0])
    found = counterfactual(model, x, "0", true=1, controls=0)
    assert found.predicted == "class 2"
    (above, *_) = found.wrong
    assert (above.which, above.name, above.reached) == ("above", "class 0", True)
    assert not found.nearer
    assert "no evidence that these units caused the mistake" in found.headline

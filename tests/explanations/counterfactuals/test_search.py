"""Which units have to go: by hand, by trying all sets, and beside what random ones do."""

from itertools import combinations

import pytest
import torch
from torch import nn
from voting import ALL_ON, voters

from captum_influence import counterfactual


def test_no_smaller_set_exists_where_contributions_add_up() -> None:
    """Of two classes whose scores are sums over units: as few as an exhaustive search finds."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        head = nn.Linear(7, 2, bias=False, dtype=torch.float64).requires_grad_(False)
        head.weight.copy_(torch.randn(2, 7, generator=generator, dtype=torch.float64))
        model = nn.Sequential(nn.ReLU(), head)
        x = torch.rand(1, 7, generator=generator, dtype=torch.float64)
        said = int(model(x).argmax())
        found = counterfactual(model, x, "0", true=1 - said, controls=0)
        sizes = [
            size
            for size in range(1, 8)
            for units in combinations(range(7), size)
            if int(model(x.index_fill(1, torch.tensor(units), 0)).argmax()) != said
        ]
        # Where it takes all but nothing to say, class 0 wins the tie.
        assert found.flipped == bool(sizes)
        assert not sizes or len(found.units) == min(sizes)


def test_a_superfluous_unit_is_left_out_again() -> None:
    """The third class has to lose too, by a unit that contributes little to the comparison."""
    weights = [[3.0, 1.2, 0.0], [0.0, 1.0, 2.0], [0.0, 3.5, 0.0]]
    head = nn.Linear(3, 3, bias=False, dtype=torch.float64)
    head.weight = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
    model = nn.Sequential(nn.ReLU(), head)
    x = torch.ones(1, 3, dtype=torch.float64)  # scores 4.2, 3, 3.5
    found = counterfactual(model, x, "0", true=1, controls=0)
    # Without unit 0: 1.2, 3, 3.5; without 0 and 1: 0, 2, 0; without 1 alone: 3, 2, 0.
    assert {unit.index for unit in found.units} == {(0,), (1,)}
    assert found.flipped


def test_a_third_class_and_no_flip_are_called_so() -> None:
    head = nn.Linear(2, 3, bias=False, dtype=torch.float64)
    head.weight = nn.Parameter(torch.tensor([[3.0, 1.0], [0.0, 0.0], [2.0, 0.5]]).double())
    model = nn.Sequential(nn.ReLU(), head)
    x = torch.ones(1, 2, dtype=torch.float64)
    stays = counterfactual(model, x, "0", true=1, max_units=1, controls=4)
    assert (stays.outcome, stays.answer, len(stays.units)) == ("none", "class 0", 1)
    assert "still says class 0" in stays.headline
    head.weight.data[2, 1] = 2.0  # scores 4, 0, 4: tie to class 0
    head.weight.data[0, 1] = 1.5
    third = counterfactual(model, x, "0", true=1, max_units=1, controls=0)
    assert (third.outcome, third.answer) == ("other", "class 2")


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
    damage = counterfactual(model, ALL_ON, "0", true=1, loader=loader).collateral
    assert damage is not None
    assert (damage.examples, damage.before) == (5, 1.0)
    # All scores of the first image become 0, and the first class wins ties.
    assert damage.after == 1.0
    labels[0] = 2
    damage = counterfactual(model, ALL_ON, "0", true=1, loader=[(images, labels)]).collateral
    assert damage is not None
    assert (damage.before, damage.of_predicted) == (0.8, 2)
    assert 0 <= (damage.random or 0) <= 1


def test_random_damage_is_that_of_each_set_run_by_itself() -> None:
    """One silent unit, sets of one: every set is one of the four others."""
    model, x = voters(), torch.tensor([[1.0, 1.0, 1.0, 1.0, -1.0]]).double()
    images = torch.rand(40, 5, generator=torch.Generator().manual_seed(3)).double()
    labels = model(images).argmax(dim=1)
    found = counterfactual(model, x, "0", true=1, loader=[(images, labels)], controls=5)
    kept = {}
    for unit in range(4):
        answers = model(images.index_fill(1, torch.tensor(unit), 0)).argmax(dim=1)
        kept[unit] = float((answers == labels).double().mean())
    # Which units the five sets were can be told by the margins that they left: 6 - 4 less theirs.
    taken = {-1.0: 0, 0.0: 1, 1.0: 2, 6.0: 3}
    drawn = [kept[taken[round(margin, 9)]] for margin in found.controls.margins]
    assert found.collateral.random == pytest.approx(sum(drawn) / 5)
    assert found.collateral.before == 1.0


def test_portions_change_nothing() -> None:
    whole = counterfactual(voters(), ALL_ON, "0", true=1)
    parts = counterfactual(voters(), ALL_ON, "0", true=1, internal_batch_size=1)
    assert parts.controls == whole.controls
    assert parts.margins == whole.margins

import json
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, Expert, Point, counterfactual
from captum_influence.demo import CLASSES, SceneDataset, load_demo_network

WEIGHTS = torch.tensor([[3.0, 2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0, 0.5], [0.0] * 5]).double()


def voters() -> nn.Sequential:
    """Three units speak for class 0 with 3, 2 and 1, two for class 1 with 4 and a half."""
    units, head = nn.ReLU(), nn.Linear(5, 3, bias=False)
    head.weight = nn.Parameter(WEIGHTS.clone())
    return nn.Sequential(units, head).eval()


ALL_SPEAK = torch.ones(1, 5, dtype=torch.float64)  # scores 6, 4.5, 0


def test_the_smallest_set_is_found_and_verified() -> None:
    found = counterfactual(voters(), ALL_SPEAK, "0", true=1, controls=0)
    assert [unit.index for unit in found.units] == [(0,)]  # 6 - 3 < 4.5; without the 2, 4 < 4.5
    assert found.units[0].value == pytest.approx(3.0)
    assert (found.outcome, found.flipped) == ("true", True)
    assert found.margins == pytest.approx((1.5, -1.5))
    assert found.controls is None
    assert found.answer == found.true == "class 1"


class Series(nn.Module):
    """The voters, each fed by one channel of a series."""

    def __init__(self) -> None:
        super().__init__()
        self.pick = nn.Conv1d(5, 5, 1, bias=False)
        self.pick.weight = nn.Parameter(torch.eye(5, dtype=torch.float64)[..., None])
        self.vote = voters()

    def forward(self, series: Tensor) -> Tensor:
        return self.vote(self.pick(series).mean(dim=2))


def test_a_series_is_one_input_too() -> None:
    series = torch.ones(1, 5, 7, dtype=torch.float64)
    found = counterfactual(Series(), series, "vote.0", true=1, controls=0)
    assert [unit.index for unit in found.units] == [(0,)]
    assert (found.picture, found.seen) == (None, ())


def test_an_image_that_holds_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="holds NaN"):
        counterfactual(voters(), ALL_SPEAK * torch.nan, "0", true=1)


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


def test_nothing_speaks_for_the_answer() -> None:
    """Only a bias does: there is nothing to remove."""
    head = nn.Linear(2, 2, dtype=torch.float64)
    head.weight = nn.Parameter(torch.zeros(2, 2).double())
    head.bias = nn.Parameter(torch.tensor([1.0, 0.0]).double())
    found = counterfactual(nn.Sequential(nn.ReLU(), head), ALL_SPEAK[:, :2], "0", true=1)
    assert (found.outcome, found.units, found.controls) == ("none", (), None)
    assert "No unit of 0 speaks for class 0 rather than class 1." in found.headline
    assert found.plot().axes


def test_the_network_without_the_units_gives_the_same_answer() -> None:
    model = voters()
    found = counterfactual(model, ALL_SPEAK, "0", true=1)
    expert = found.expert(model, "0")
    assert isinstance(expert, Expert)
    assert int(expert(ALL_SPEAK).argmax()) == 1
    scores = expert(ALL_SPEAK)[0].detach()
    assert float(scores[0] - scores[1]) == pytest.approx(found.margins[-1])


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
    damage = counterfactual(model, ALL_SPEAK, "0", true=1, loader=loader).collateral
    assert damage is not None
    assert (damage.examples, damage.before) == (5, 1.0)
    # All scores of the first image become 0, and the first class wins ties.
    assert damage.after == 1.0
    labels[0] = 2
    damage = counterfactual(model, ALL_SPEAK, "0", true=1, loader=[(images, labels)]).collateral
    assert damage is not None
    assert (damage.before, damage.of_predicted) == (0.8, 2)
    assert 0 <= (damage.random or 0) <= 1


def test_replacements_change_what_is_a_contribution() -> None:
    """Put in place of the mean, a unit at its mean contributes nothing."""
    mean = torch.tensor([[1.0, 0.0, 0.0, 1.0, 1.0]]).double()
    found = counterfactual(voters(), ALL_SPEAK, "0", true=1, replace="mean", reference=mean)
    assert [unit.index for unit in found.units] == [(1,)]  # 6 - 2 < 4.5; unit 0 stays as it is


def demo_case() -> tuple[nn.Module, Tensor, int]:
    image, label = SceneDataset(534, seed=17)[533]
    return load_demo_network(), image, label


def test_a_wrong_answer_of_the_demo_network() -> None:
    model, image, label = demo_case()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = counterfactual(
        model, image, "relu5", true=label, distribution=Point(), class_names=CLASSES
    )
    assert found.flipped
    assert "The network says fish; the truth is tree." in found.headline
    expert = Expert(model, "relu5", found.units, "remove")
    assert CLASSES[int(expert(image[None]).argmax())] == "tree"
    content = json.loads(json.dumps(found.to_dict()))
    assert content["outcome"] == "true"
    assert content["controls"]["sets"] == 20
    assert len(found.plot().axes) == 3
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"true": 0}, ValueError, "expected a wrong answer, got one that is true"),
        ({"predicted": 2}, ValueError, "says class 2, got one of which it says class 0"),
        ({"true": 3}, ValueError, "true= as a class from 0 to 2, got 3"),
        ({"max_units": 0}, ValueError, "at least one unit to try"),
        ({"image": torch.ones(2, 5)}, ValueError, r"one image .* got \(2, 5\)"),
        ({"image": torch.ones(5).int()}, TypeError, "floats, .* got torch.int32"),
        ({"layer": "9"}, ValueError, "no layer named '9'"),
        ({"layer": Cut("1", "input"), "axis": "position"}, ValueError, "no positions"),
    ],
)
def test_mistakes_are_named_with_their_cure(change, error, message) -> None:
    arguments = {"image": ALL_SPEAK, "layer": "0", "true": 1} | change
    with pytest.raises(error, match=message):
        counterfactual(voters(), **arguments)


def test_a_network_without_class_scores_is_refused() -> None:
    with pytest.raises(TypeError, match=r"scores \(examples, classes\), got \(1, 5, 1\)"):
        counterfactual(nn.Sequential(nn.ReLU(), nn.Unflatten(1, (5, 1))), ALL_SPEAK, "0", true=1)

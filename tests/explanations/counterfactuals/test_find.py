"""Why an answer was wrong, asked of networks small enough to answer by hand."""

import pytest
import torch
from torch import Tensor, nn
from voting import ALL_ON, Series, voters

from captum_influence import Cut, Expert, Point, counterfactual
from captum_influence.demo import CLASSES, SceneDataset, load_demo_network
from captum_influence.units import MeanActivation
from captum_influence.units.units_of import UnitsOf

SAID = float(torch.tensor([6, 4.5, 0]).double().softmax(0)[0])  # p(class 0) of all units on


def test_the_smallest_set_is_found_and_verified() -> None:
    found = counterfactual(voters(), ALL_ON, "0", true=1, controls=0)
    assert [unit.index for unit in found.units] == [(0,)]  # 6 - 3 < 4.5; without the 2, 4 < 4.5
    assert found.units[0].value == pytest.approx(3.0 * SAID)
    assert (found.outcome, found.flipped) == ("true", True)
    assert found.margins == pytest.approx((1.5, -1.5))
    assert found.controls is None
    assert found.answer == found.true == "class 1"


def test_a_series_is_one_input_too() -> None:
    series = torch.ones(1, 5, 7, dtype=torch.float64)
    found = counterfactual(Series(), series, "vote.0", true=1, controls=0)
    assert [unit.index for unit in found.units] == [(0,)]
    # Unit 0 passes on 3 p × the mean of the first channel: a seventh of that at each step.
    assert (found.picture, found.display.noun) == (None, "series")
    torch.testing.assert_close(found.seen[0].map, torch.full((7,), 3 * SAID / 7).double())
    asked = {"true": 1, "controls": 0, "interpret": False}
    assert counterfactual(Series(), series, "vote.0", **asked).seen == ()


def test_a_row_of_features_is_shown_if_it_is_said_how() -> None:
    bare = counterfactual(voters(), ALL_ON, "0", true=1, controls=0)
    assert (bare.display, bare.seen) == (None, ())
    assert len(bare.plot().axes) == 2  # no panel for what can't be shown


def test_an_image_that_holds_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="holds NaN or infinite"):
        counterfactual(voters(), ALL_ON * torch.nan, "0", true=1)


def test_nothing_raises_the_answer() -> None:
    """Only a bias does: there is nothing to remove."""
    head = nn.Linear(2, 2, dtype=torch.float64)
    head.weight = nn.Parameter(torch.zeros(2, 2).double())
    head.bias = nn.Parameter(torch.tensor([1.0, 0.0]).double())
    found = counterfactual(nn.Sequential(nn.ReLU(), head), ALL_ON[:, :2], "0", true=1)
    assert (found.outcome, found.units, found.controls) == ("none", (), None)
    assert "No channel of 0 raises −log p(class 1)." in found.headline
    assert found.plot().axes


def test_the_network_without_the_units_gives_the_same_answer() -> None:
    model = voters()
    found = counterfactual(model, ALL_ON, "0", true=1)
    expert = found.expert(model, "0")
    assert isinstance(expert, Expert)
    assert int(expert(ALL_ON).argmax()) == 1
    scores = expert(ALL_ON)[0].detach()
    assert float(scores[0] - scores[1]) == pytest.approx(found.margins[-1])


MEAN = torch.tensor([[1.0, 0.0, 0.0, 1.0, 1.0]]).double()


@pytest.mark.parametrize(
    "asked",
    [
        {"replace": "mean", "loader": [(MEAN, torch.tensor([1]))]},
        {"replace": MeanActivation.of([MEAN])},
        {"replace": MEAN[0]},
    ],
    ids=["loader", "replacement", "tensor"],
)
def test_replacements_change_what_is_a_contribution(asked) -> None:
    """Put in place of the mean, a unit at its mean contributes nothing."""
    found = counterfactual(voters(), ALL_ON, "0", true=1, **asked)
    assert [unit.index for unit in found.units] == [(1,)]  # 6 - 2 < 4.5; unit 0 stays as it is


def test_by_influence_the_gradient_alone_ranks() -> None:
    x = torch.tensor([[0.1, 2.0, 1.0, 0.5, 1.0]]).double()  # scores 5.3, 2.5, 0
    found = counterfactual(voters(), x, "0", true=1, by="influence", max_units=2, controls=0)
    # Influences 3 p, 2 p, p, ...; without the first 5 to 2.5, without both 1 to 2.5, and without
    # the second alone 1.3 to 2.5.
    said = float(torch.tensor([5.3, 2.5, 0]).double().softmax(0)[0])
    assert [(unit.index, unit.value) for unit in found.units] == [((1,), pytest.approx(2 * said))]
    assert found.tried == 2
    assert found.margins == pytest.approx((2.8, -1.2))


NAMES = {0: "fish", 1: "tree"}


def test_classes_go_by_their_names() -> None:
    asked = {"true": "tree", "class_names": NAMES, "controls": 0}
    found = counterfactual(voters(), ALL_ON, "0", predicted="fish", **asked)
    assert (found.true, found.predicted, found.answer) == ("tree", "fish", "tree")
    assert found.quantity == "−log p(tree)"
    prefix = counterfactual(voters(), ALL_ON, "0", search="prefix", **asked)
    assert prefix.quantity == "score(fish) − score(tree)"
    with pytest.raises(ValueError, match=r"'tee', which is none of the 2 names; similar.* tree"):
        counterfactual(voters(), ALL_ON, "0", true="tee", class_names=NAMES)
    with pytest.raises(ValueError, match="no names are known"):
        counterfactual(voters(), ALL_ON, "0", true="tree")


def test_an_axis_of_another_layout() -> None:
    """(examples, height, width, channels), as some networks have it: the last tells units apart."""
    layout = nn.Sequential(nn.Unflatten(1, (1, 1, 5)), nn.ReLU(), nn.Flatten())
    model = nn.Sequential(layout, voters())
    found = counterfactual(model, ALL_ON, "0.1", true=1, axis=3, controls=0)
    assert [(unit.name, unit.value) for unit in found.units] == [
        ("unit 0", pytest.approx(3 * SAID))
    ]
    assert "Without 1 unit of 0.1 it says class 1." in found.headline
    again = counterfactual(model, ALL_ON, UnitsOf("0.1", 3), true=1, controls=0)
    assert again.units == found.units
    assert int(found.expert(model, "0.1")(ALL_ON).argmax()) == 1


def test_groups_are_removed_whole() -> None:
    groups = {"first": [0, 3], "second": [1, 2]}  # worth 3 - 4 and 2 + 1
    found = counterfactual(voters(), ALL_ON, "0", true=1, axis=groups, controls=0)
    assert [(unit.name, unit.value) for unit in found.units] == [
        ("second", pytest.approx(3 * SAID))
    ]
    assert int(found.expert(voters(), "0")(ALL_ON).argmax()) == 1


def test_wrapped_networks_are_looked_into() -> None:
    plain = counterfactual(voters(), ALL_ON, "0", true=1)
    for wrapped in (nn.DataParallel(voters()), torch.compile(voters(), backend="eager")):
        found = counterfactual(wrapped, ALL_ON, "0", true=1)
        assert (found.network, found.headline) == (plain.network, plain.headline)


def test_an_answer_that_is_a_probability_already_is_taken_as_one() -> None:
    model = nn.Sequential(voters(), nn.Softmax(dim=1))
    found = counterfactual(model, ALL_ON, "0.0", true=1, controls=0)
    expected = torch.tensor([6, 4.5, 0]).double().softmax(dim=0)
    assert [p.probability for p in found.before] == pytest.approx(expected.tolist())


def demo_case() -> tuple[nn.Module, Tensor, int]:
    image, label = SceneDataset(424, seed=1_000_003)[423]
    return load_demo_network(), image, label


def test_a_wrong_answer_of_the_demo_network() -> None:
    model, image, label = demo_case()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = counterfactual(
        model, image, "relu5", true=label, distribution=Point(), class_names=CLASSES
    )
    assert found.flipped
    assert "The network says house; the truth is fish." in found.headline
    expert = Expert(model, "relu5", found.units, "remove")
    assert CLASSES[int(expert(image[None]).argmax())] == "fish"
    assert found.controls.sets == 20
    assert len(found.plot().axes) == 3
    assert len(found.seen) == len(found.units)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"true": 0}, ValueError, "expected a wrong answer, got one that is true"),
        ({"predicted": 2}, ValueError, "says class 2, got one of which it says class 0"),
        ({"true": 3}, ValueError, "true= as a class from 0 to 2, got 3"),
        ({"max_units": 0}, ValueError, "at least one unit to try"),
        ({"controls": -1}, ValueError, "no negative number of controls"),
        ({"image": torch.ones(2, 5)}, ValueError, r"an image of shape .* got \(2, 5\)"),
        ({"image": torch.ones(5).int()}, TypeError, "floats, .* got torch.int32"),
        ({"layer": "9"}, ValueError, "no layer named '9'"),
        ({"layer": Cut("1", "input"), "axis": "position"}, ValueError, "no positions"),
        ({"control": 3}, TypeError, "no keyword 'control': did you mean controls="),
        ({"replace": "mean"}, ValueError, "a loader of images"),
        ({"loader": iter([]), "replace": "mean"}, TypeError, "read only once: make it a list"),
    ],
)
def test_mistakes_are_named_with_their_cure(change, error, message) -> None:
    arguments = {"image": ALL_ON, "layer": "0", "true": 1} | change
    with pytest.raises(error, match=message):
        counterfactual(voters(), **arguments)


def test_a_network_without_class_scores_is_refused() -> None:
    with pytest.raises(TypeError, match=r"scores \(examples, classes\), got \(1, 5, 1\)"):
        counterfactual(nn.Sequential(nn.ReLU(), nn.Unflatten(1, (5, 1))), ALL_ON, "0", true=1)

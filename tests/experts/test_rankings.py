"""Rankings of a class, beside networks whose answers are known by algebra."""

import math

import pytest
import torch
from eyeing import pictures

from captum_influence import ClassScore, Cut, DistributionalInfluence, Point, class_rankings
from captum_influence.demo import handwired_networks
from captum_influence.experts.rankings import drawn_at_random, from_both_ends
from captum_influence.network.reading import activations
from captum_influence.testing import check_finding
from captum_influence.units.replacement import MeanActivation
from captum_influence.units.units_of import UnitsOf

WIRED = handwired_networks()["linear_units"]  # q = 2 z1 + 0 z2 - 3 z3 + 5 z4, the last silent here
LOADER = [(WIRED.inputs, torch.zeros(2, dtype=torch.long))]


def order(units) -> list[int]:
    return [unit.index[0] for unit in units]


def test_rankings_name_the_units_that_are_wired_to_the_class() -> None:
    found = class_rankings(WIRED.model, LOADER, WIRED.layer, 0, ends="top")
    assert order(found["influence"]) == [3, 0, 1, 2]
    assert order(found["contribution"]) == [0, 1, 3, 2]
    assert order(found["conductance"]) == order(found["contribution"])
    assert order(found["activation"]) == [1, 2, 0, 3]  # means 2.125, 1.75, 1.5, 0
    assert sorted(order(found["random"])) == [0, 1, 2, 3]
    contribution = {unit.index[0]: unit.value for unit in found["contribution"]}
    assert contribution[2] == pytest.approx(float(WIRED.contribution[:, 2].mean()), abs=1e-12)


def test_from_both_ends_in_turn_but_for_activation_and_chance() -> None:
    found = class_rankings(WIRED.model, LOADER, WIRED.layer, 0, by=["influence", "activation"])
    assert order(found["influence"]) == [3, 2, 0, 1]
    assert order(found["activation"]) == [1, 2, 0, 3]
    assert from_both_ends([1, 2, 3, 4, 5]) == (1, 5, 2, 4, 3)


def test_means_have_the_standard_errors_of_the_images_of_the_class(model) -> None:
    ((images, labels),) = pictures()
    batches = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    by = {"by": ["contribution"], "distribution": Point()}
    found = class_rankings(model, batches, "relu", 0, **by)["contribution"]
    measure = DistributionalInfluence(
        model,
        "relu",
        distribution=Point(),
        quantity=ClassScore(0),
        multiply_by_inputs=True,
        displacement=MeanActivation.of([activations(model, images, Cut("relu"))]),
    )
    each = measure.attribute(images[labels == 0]).sum((2, 3))
    first = found[0]
    assert first.value == pytest.approx(float(each[:, first.index[0]].mean()))
    error = float(each[:, first.index[0]].std()) / math.sqrt(10)
    assert first.standard_error == pytest.approx(error)
    one = class_rankings(model, [(images[:1], labels[:1])], "relu", 0, **by)["contribution"]
    assert one[0].standard_error is None


def test_the_largest_entry_may_stand_for_a_unit(model) -> None:
    ((images, labels),) = pictures()
    units = UnitsOf("relu", aggregate="max")
    found = class_rankings(model, pictures(), units, 1, by=["activation"])["activation"]
    with torch.no_grad():
        largest = model.relu(model.eyes(images[labels == 1])).amax((2, 3)).mean(0)
    assert {unit.index[0]: unit.value for unit in found} == pytest.approx(
        dict(enumerate(largest.tolist()))
    )


def test_chance_is_seeded_and_covers_every_unit(model) -> None:
    def drawn(seed: int) -> list[tuple[int, ...]]:
        by = {"by": ["random"], "axis": "neuron", "seed": seed}
        return [u.index for u in class_rankings(model, pictures(), "relu", 0, **by)["random"]]

    assert drawn(0) == drawn(0) != drawn(1)
    assert len(set(drawn(0))) == 12


def test_draws_are_orders_of_all_units() -> None:
    draws = drawn_at_random(7, 3, seed=1)
    assert list(draws) == ["random 0", "random 1", "random 2"]
    assert all(sorted(order) == list(range(7)) for order in draws.values())
    assert draws == drawn_at_random(7, 3, seed=1) != drawn_at_random(7, 3, seed=2)
    assert len({tuple(order) for order in draws.values()}) == 3


def test_conductance_of_many_images_warns_of_nothing(model) -> None:
    images = torch.rand(70, 3, 8, 8, dtype=torch.float64)
    loader = [(images, torch.zeros(70, dtype=torch.long))]
    found = class_rankings(model, loader, "relu", 0, by=["conductance"])
    assert len(found["conductance"]) == 3


def test_each_ranking_keeps_the_contract(model) -> None:
    loader, by = pictures(), ["influence", "activation", "random"]
    found = class_rankings(model, loader, "relu", "green", by=by, class_names=["red", "green"])
    for name in by:
        check_finding(found[name], {"model": model, "loader": loader})
    first = found["influence"]
    assert first.call.endswith("['influence']")
    assert first.facts["quantity"] == "score(green)"
    assert first.facts["pictures"] == 10
    assert "in turn from both ends" in first.page().content["method"]
    assert "in turn" not in found["activation"].page().content["method"]
    assert not any("gradient" in words for words in found["activation"].page().content["caveats"])
    assert found["random"].headline.endswith("of 3 channels in a random order.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": ["fame"]}, r"got \['fame'\]"),
        ({"by": []}, r"got \[\]"),
        ({"target": 2}, "no image of class 2"),
        ({"ends": "bottom"}, "got 'bottom'"),
        ({"target": "blue"}, "no names are known"),
    ],
)
def test_what_cannot_be_ranked(model, change, message) -> None:
    arguments = {"loader": pictures(), "target": 0, "by": ["activation"]} | change
    with pytest.raises(ValueError, match=message):
        class_rankings(model, layer="relu", **arguments)

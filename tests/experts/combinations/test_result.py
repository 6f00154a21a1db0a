"""What units do together, in numbers a reader can add up; and the contract of a finding."""

import pytest
import torch

from captum_influence import Combination, LinearPath, combine
from captum_influence.demo import handwired_networks
from captum_influence.reports.asked import Asked
from captum_influence.testing import check_finding

WIRED = handwired_networks()


def combination(joint, alone, estimate=(0.0, 0.0)) -> Combination:
    return Combination(
        asked=Asked(verb="combine", positional=(), keywords={}, settings={}),
        network="Net",
        layers=("relu",),
        units=("channel 0 of relu", "channel 3 of relu"),
        quantity="score(cat)",
        value=torch.tensor([5.0, 7.0]),
        joint=torch.tensor(joint),
        alone=torch.tensor(alone),
        estimate=torch.tensor(estimate),
        distribution="the input alone",
        replaced_by="0",
        seconds=1.0,
    )


def test_what_cannot_be_seen_one_by_one_is_the_interaction() -> None:
    found = combination([3.0, 5.0], [[1.0, 1.0], [4.0, 3.0]])
    assert found.added.tolist() == [2.0, 7.0]
    assert found.interaction.tolist() == [1.0, -2.0]


def test_the_headline_is_averaged_over_the_examples() -> None:
    found = combination([3.0, 5.0], [[1.0, 1.0], [4.0, 3.0]])
    assert found.headline == (
        "Removing 2 units together changes score(cat) by −4.00 (estimated: 0); removing each "
        "alone, added up, by −4.50."
    )


def test_the_dict_has_every_example_and_the_table_every_unit() -> None:
    pytest.importorskip("pandas")
    found = combination([3.0, 5.0], [[1.0, 1.0], [4.0, 3.0]], [3.5, 4.5])
    content = found.to_dict()
    assert (content["joint"], content["estimate"]) == ([3.0, 5.0], [3.5, 4.5])
    assert content["interaction"] == [1.0, -2.0]
    table = found.to_frame()
    assert table["unit"].tolist() == list(found.units)
    assert table["mean"].tolist() == [2.5, 2.0]
    assert table["example 1"].tolist() == [4.0, 3.0]


@pytest.mark.parametrize("name", ["redundant_units", "gated_unit"])
def test_combinations_of_networks_keep_the_contract(name: str) -> None:
    wired = WIRED[name]
    path = LinearPath(0.0, 8)
    units = {wired.layer: [0, 1]}
    found = combine(wired.model, wired.inputs, units, wired.target, distribution=path)
    check_finding(found, {"model": wired.model, "inputs": wired.inputs})
    mean = combine(wired.model, wired.inputs, units, replace="mean", loader=[wired.inputs])
    check_finding(mean, {"model": wired.model, "inputs": wired.inputs, "loader": [wired.inputs]})

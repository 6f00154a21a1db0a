"""Rankings as findings: they behave as sequences, say what they found, and ask it again."""

import pytest
import torch

from captum_influence import JointRanking, Ranking, rank_layers, rank_units
from captum_influence.testing import check_finding

VALUES = torch.tensor([[1.0, -3.0, 2.0], [1.0, -1.0, 4.0]])
LAYERS = {"near": torch.tensor([[6.0, -2.0]]), "far": torch.tensor([[0.5, 0.25, 0.25]])}


def test_a_ranking_is_a_sequence() -> None:
    ranking = rank_units(VALUES)
    assert len(ranking) == 3
    assert [unit.index[0] for unit in ranking] == [2, 0, 1]
    assert ranking[:2] == ranking.units[:2]
    assert ranking[-1].value == -2.0
    assert ranking[0] in ranking


def test_the_headline_names_the_first_unit_and_its_share() -> None:
    assert rank_units(VALUES).headline == (
        "Channel 2 has the largest influence of 3 channels: 3.00, 50\u00a0% of the sum of their "
        "absolute influences."
    )
    nothing = rank_units(-VALUES.abs())
    assert nothing.headline == "None of 3 channels has a positive influence."
    moved = rank_units(VALUES, VALUES * 0 + 1, by="contribution", change=6.0)
    assert moved.headline.endswith("3.00, 50\u00a0% of how far the quantity moves.")


def test_the_headline_of_several_layers() -> None:
    assert rank_units(LAYERS).headline == (
        "Channel 0 of near has the largest share of 5 units of 2 layers: 75\u00a0% of the sum of "
        "its layer's absolute influences."
    )
    lowering = rank_units({name: -values.abs() for name, values in LAYERS.items()})
    assert lowering.headline == "None of 5 units of 2 layers raises the quantity."


def test_the_table_has_a_row_per_unit() -> None:
    pytest.importorskip("pandas")
    table = rank_units(VALUES, VALUES, by="contribution", reference=1.0, top=2).to_frame()
    assert table["name"].tolist() == ["channel 1", "channel 2"]
    # −3 · (−3 − 1) and −1 · (−1 − 1); 2 · (2 − 1) and 4 · (4 − 1)
    assert table["value"].tolist() == [7.0, 7.0]
    assert table["activation"].tolist() == [-2.0, 3.0]
    assert table["reference"].tolist() == [1.0, 1.0]
    assert table["standard_error"].tolist() == pytest.approx([5.0, 5.0])
    assert rank_units(LAYERS).to_frame()["layer"].tolist()[0] == "near"


def test_the_dict_of_several_layers_has_each() -> None:
    found = rank_units(LAYERS, top=1).to_dict()
    assert [unit["name"] for unit in found["units"]] == ["channel 0 of near"]
    assert set(found["layers"]) == {"near", "far"}


FINDINGS = {
    "influences": lambda: (rank_units(VALUES), {"influences": VALUES}),
    "contributions": lambda: (
        rank_units(VALUES, VALUES.flip(0), by="contribution", reference=0.5, top=2),
        {"influences": VALUES, "activations": VALUES.flip(0)},
    ),
    "groups": lambda: (
        rank_units(VALUES, axis={"one": [0], "others": [1, 2]}),
        {"influences": VALUES},
    ),
    "neurons": lambda: (
        rank_units(VALUES, axis={"some": torch.tensor([True, False, True])}),
        {"influences": VALUES},
    ),
    "layers": lambda: (rank_units(LAYERS), {"influences": LAYERS}),
    "one of them": lambda: (rank_units(LAYERS).layers["far"], {"influences": LAYERS}),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_rankings_of_tensors_keep_the_contract(name: str) -> None:
    found, names = FINDINGS[name]()
    assert isinstance(found, Ranking | JointRanking)
    check_finding(found, names)


def test_a_ranking_of_a_network_keeps_the_contract(model, image) -> None:
    inputs = image[None]
    found = rank_layers(model, inputs, ["eyes", model.relu], 0, class_names=["red", "green"])
    check_finding(found, {"model": model, "inputs": inputs})
    check_finding(found.layers["eyes"], {"model": model, "inputs": inputs})
    assert found.layers["eyes"].call == f"{found.call}.layers['eyes']"

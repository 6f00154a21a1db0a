"""What one layer's units did, from tensors: what it is counted from, and ordered by."""

import pytest
import torch

from captum_influence import rank_units
from captum_influence.units.replacement import MeanActivation

INFLUENCES = torch.tensor([[1.0, -2.0, 0.5], [1.0, -2.0, 0.5]], dtype=torch.float64)
HERE = torch.tensor([[1.0, 2.0, 4.0], [3.0, 2.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("replace", "values"),
    [
        (None, [2.0, -4.0, 1.0]),
        ("zero", [2.0, -4.0, 1.0]),
        (1.0, [1.0, -2.0, 0.5]),
        ("mean", [0.0, 0.0, 0.0]),
        (torch.tensor([2.0, 2.0, 0.0], dtype=torch.float64), [0.0, 0.0, 1.0]),
        (MeanActivation(torch.tensor([1.0, 0.0, 2.0])), [1.0, -4.0, 0.0]),
    ],
)
def test_contributions_count_from_what_a_removal_puts_there(replace, values) -> None:
    found = rank_units(INFLUENCES, HERE, replace=replace)
    assert found.by == "contribution"
    assert found.values.tolist() == values
    whole = rank_units({"one": INFLUENCES}, {"one": HERE}, replace=replace)
    assert whole.layers["one"].values.tolist() == values


def test_without_activations_influences_are_ranked() -> None:
    assert rank_units(INFLUENCES).by == "influence"
    assert rank_units(INFLUENCES, HERE, by="influence").values.tolist() == [1.0, -2.0, 0.5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"replace": "zero", "reference": HERE}, "without reference="),
        ({"replace": "most"}, 'a tensor, "zero", "mean" or "resample"'),
    ],
)
def test_what_can_take_no_place_is_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        rank_units(INFLUENCES, HERE, **settings)
    with pytest.raises(ValueError, match="of a single example would put back"):
        rank_units(INFLUENCES[:1], HERE[:1], replace="mean")

"""A user's own units: groups of channels, or of single neurons."""

import numpy as np
import pytest
import torch
from torch import Tensor

from captum_influence import rank_units
from captum_influence.units.groups import Groups

GROUPS = {"wheels": [0, 2], "roof": [3]}
MAP = (2, 4, 3, 5)  # (examples, channels, height, width)


def values(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("aggregate", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    "axis",
    [
        GROUPS,
        {"wheels": torch.tensor([0, 2]), "roof": (3,)},
        ["wheels", None, "wheels", "roof"],
        lambda shape: {"wheels": range(0, 3, 2), "roof": [shape[0] - 1]},
    ],
)
def test_groups_of_channels_pool_all_their_entries(aggregate, axis) -> None:
    x = values(*MAP)
    ranking = rank_units(x, axis=axis, aggregate=aggregate)
    pool = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}[aggregate]
    found = {unit.name: unit.value for unit in ranking}
    for name, channels in GROUPS.items():
        expected = pool(x[:, channels].flatten(1), dim=1).mean(dim=0)
        assert found[name] == pytest.approx(float(expected))


def test_integer_labels_group_channels_or_single_neurons() -> None:
    x = values(*MAP)
    channels = rank_units(x, axis=torch.tensor([1, 0, 1, -1]))  # the last is in no group
    assert {u.name: u.value for u in channels} == pytest.approx(
        {"0": float(x[:, 1].sum() / 2), "1": float(x[:, [0, 2]].sum() / 2)}
    )
    upper = torch.ones(MAP[1:], dtype=torch.long)
    upper[:, 0] = 0
    rows = rank_units(x, axis=upper)
    assert {u.name: u.value for u in rows} == pytest.approx(
        {"0": float(x[:, :, 0].sum() / 2), "1": float(x[:, :, 1:].sum() / 2)}
    )


@pytest.mark.parametrize("shape", [(2, 6), (2, 5, 6), MAP])
def test_a_group_s_selector_addresses_what_was_pooled(shape) -> None:
    x = values(*shape)
    masks = {"even": values(*shape)[0] > 0, "odd": values(*shape)[0] <= 0}
    for axis in ({"a": [3, 1], "b": [0]}, masks):
        ranking = rank_units(x, axis=axis)
        assert len(ranking) == 2
        for unit in ranking:
            chosen = x[(slice(None), *ranking.axis.selector(unit.index))]
            assert float(chosen.sum()) / 2 == pytest.approx(unit.value)


def test_numpy_groups_as_tensors_do() -> None:
    x = torch.arange(16.0).reshape(1, 4, 2, 2)
    labels = np.array([1, 0, 1, -1])  # as clustering returns them; the last is in no group
    wanted = [(unit.name, unit.value) for unit in rank_units(x, axis=torch.as_tensor(labels))]
    for same in (labels, list(labels), {"1": np.array([0, 2]), "0": np.array([1])}):
        assert [(unit.name, unit.value) for unit in rank_units(x, axis=same)] == wanted
    mask = np.zeros((4, 2, 2), dtype=bool)
    mask[[0, 2]] = True
    assert rank_units(x, axis={"1": mask})[0].value == wanted[0][1]
    assert [u.name for u in rank_units(x, axis=np.array(["a", "b", "a", "b"]))] == ["b", "a"]


def test_groups_may_overlap_and_shares_are_among_groups() -> None:
    ranking = rank_units(torch.tensor([[1.0, 2.0, -4.0]]), axis={"all": [0, 1, 2], "last": [2]})
    assert [(u.name, u.value) for u in ranking] == [("all", -1.0), ("last", -4.0)]
    assert [u.share for u in ranking] == pytest.approx([-0.2, -0.8])


@pytest.mark.parametrize(
    ("axis", "error", "message"),
    [
        ({}, ValueError, "at least one group"),
        ({"a": []}, ValueError, "at least one unit in group 'a'"),
        ({"a": [True, False, True]}, TypeError, "got bool: give a mask"),
        ({"a": [4]}, ValueError, "from 0 to 3, got 4 to 4"),
        ({"a": [0.5]}, TypeError, "as ints, got float"),
        ({"a": "02"}, TypeError, "got str"),
        ({"a": torch.ones(4, dtype=torch.bool)}, ValueError, r"shape \(4, 3, 5\), got \(4,\)"),
        ([0, 1], ValueError, "each of 4 channels, got 2"),
        (torch.zeros(4), TypeError, r"whole numbers, got torch\.float32"),
        (torch.zeros(2, 2).long(), TypeError, r"got \(2, 2\)"),
        (lambda shape: 7, TypeError, "got int"),
    ],
)
def test_a_bad_grouping_says_what_came(axis, error, message) -> None:
    with pytest.raises(error, match=message):
        rank_units(values(*MAP), axis=axis)


def test_masks_count_places_along_all_dimensions_and_channels_along_one() -> None:
    mask = torch.zeros(MAP[1:], dtype=torch.bool)
    mask[1, 0, 2] = mask[3, 2, 4] = True
    single = Groups.ensure({"two": mask}, MAP[1:], channel=0)
    assert (single.keep, single.members) == ((0, 1, 2), ((17, 59),))  # row by row
    channels = Groups.ensure({"two": [1, 3]}, MAP[1:], channel=0)
    assert (channels.keep, channels.members) == ((0,), ((1, 3),))
    assert torch.equal(single.spread(torch.tensor([[True]]), MAP[1:])[0], mask)

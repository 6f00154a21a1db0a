import dataclasses
import math

import numpy as np
import pytest
import torch

from captum_influence import ClassScore, DistributionalInfluence, Point, rank_units
from captum_influence.units import Axis


def values(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_channels_of_a_feature_map_are_summed_with_their_signs() -> None:
    influences = torch.tensor([[[[1.0, -5.0]], [[2.0, 2.0]], [[-1.0, 0.0]]]])
    ranking = rank_units(influences)
    assert [unit.index for unit in ranking] == [(1,), (2,), (0,)]
    assert [unit.value for unit in ranking] == [4.0, -1.0, -4.0]
    assert [unit.share for unit in ranking] == pytest.approx([4 / 9, -1 / 9, -4 / 9])
    assert [unit.name for unit in ranking.against(5)] == ["channel 0", "channel 2"]


@pytest.mark.parametrize("aggregate", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    ("axis", "shape", "pooled"),
    [
        ("channel", (2, 3, 4, 5), (2, 3)),
        ("channel", (2, 7, 6), (1,)),
        ("channel", (2, 6), ()),
        ("position", (2, 3, 4, 5), (1,)),
        ("position", (2, 7, 6), (2,)),
        ("neuron", (2, 3, 4, 5), ()),
        ("head", (2, 3, 4, 4), (2, 3)),
        (3, (2, 4, 4, 6), (1, 2)),
        (-1, (2, 4, 4, 6), (1, 2)),
    ],
)
def test_pooling_is_torch_s_own_over_the_other_dimensions(aggregate, axis, shape, pooled) -> None:
    x = values(*shape)
    found = rank_units(x, axis=axis, aggregate=aggregate).values
    pool = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}[aggregate]
    torch.testing.assert_close(found, (pool(x, dim=pooled) if pooled else x).mean(0))


@pytest.mark.parametrize("axis", ["channel", "position", "neuron", "head"])
def test_selector_addresses_what_was_pooled(axis: str) -> None:
    x = values(1, 5, 6)
    ranking = rank_units(x, axis=axis, heads=3 if axis == "head" else None)
    for unit in ranking:
        chosen = x[(slice(None), *ranking.axis.selector(unit.index))]
        assert float(chosen.sum()) == pytest.approx(unit.value)


def test_heads_of_a_token_layer_split_its_last_dimension() -> None:
    x = values(2, 5, 6)
    found = rank_units(x, axis="head", heads=3)
    torch.testing.assert_close(found.values, x.view(2, 5, 3, 2).sum(dim=(1, 3)).mean(0))


def test_contribution_multiplies_before_it_pools() -> None:
    influences = torch.tensor([[[1.0, -1.0], [1.0, 1.0]]])[..., None]  # (1, 2, 2, 1)
    activations = torch.tensor([[[3.0, 3.0], [1.0, 2.0]]])[..., None]
    ranking = rank_units(influences, activations, reference=0.5, by="contribution")
    assert [(u.index, u.value) for u in ranking] == [((1,), 2.0), ((0,), 0.0)]
    assert (ranking[0].activation, ranking[0].reference) == (3.0, 1.0)


def test_examples_are_averaged_and_ties_keep_their_order() -> None:
    ranking = rank_units(torch.tensor([[1.0, 3.0], [3.0, 1.0]]), top=1)
    assert (len(ranking), ranking[0].name, ranking[0].value) == (1, "channel 0", 2.0)


def test_zeros_have_no_share() -> None:
    assert [unit.share for unit in rank_units(torch.zeros(1, 3))] == [0.0, 0.0, 0.0]


def test_a_unit_can_t_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        rank_units(torch.ones(1, 2))[0].value = 0.0


@pytest.mark.parametrize(
    ("influences", "options", "message"),
    [
        (torch.ones(3), {}, "at least one unit per example"),
        (torch.ones(1, 3), {"axis": "position"}, "no positions: rank its channels"),
        (torch.ones(1, 3), {"axis": "pixel"}, "got 'pixel'"),
        (torch.ones(1, 3), {"axis": 2}, "a dimension from 1 to 1"),
        (torch.ones(1, 4, 6), {"axis": "head"}, "heads="),
        (torch.ones(1, 4, 6), {"axis": "head", "heads": 4}, "heads=4"),
        (torch.ones(1, 3), {"by": "contribution"}, "pass them as the second"),
        (torch.ones(1, 3), {"by": "size"}, "got 'size'"),
        (torch.ones(1, 3), {"aggregate": "median"}, "got 'median'"),
        (torch.ones(1, 3), {"top": 0}, "got 0"),
        (torch.ones(1, 3), {"activations": torch.ones(1, 4)}, r"\(1, 3\), got \(1, 4\)"),
        (torch.full((1, 3), torch.nan), {}, "holds NaN"),
    ],
)
def test_bad_input_says_what_came(influences, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        rank_units(influences, **options)


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="or of several as a mapping"):
        rank_units([[1.0, 3.0]])


def test_an_axis_is_taken_as_it_is() -> None:
    axis = Axis("column", (2, 3), (1,))
    torch.testing.assert_close(
        rank_units(torch.ones(1, 2, 3), axis=axis).values, torch.full((3,), 2.0)
    )


# A user's own groups ------------------------------------------------------------------------------

GROUPS = {"wheels": [0, 2], "roof": [3]}
MAP = (2, 4, 3, 5)  # (examples, channels, height, width)


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
        ("group", ValueError, "pass the same mapping"),
    ],
)
def test_a_bad_grouping_says_what_came(axis, error, message) -> None:
    with pytest.raises(error, match=message):
        rank_units(values(*MAP), axis=axis)


# Several layers on one scale ----------------------------------------------------------------------


def test_layers_are_ranked_together_by_their_share_of_the_layer() -> None:
    layers = {"near": torch.tensor([[6.0, -2.0]]), "far": torch.tensor([[0.5, 0.25, 0.25]])}
    ranking = rank_units(layers)
    assert [unit.name for unit in ranking] == [
        "channel 0 of near",
        "channel 0 of far",
        "channel 1 of far",
        "channel 2 of far",
        "channel 1 of near",
    ]
    assert [unit.share for unit in ranking] == pytest.approx([0.75, 0.5, 0.25, 0.25, -0.25])
    assert [unit.value for unit in ranking.layers["far"]] == [0.5, 0.25, 0.25]
    assert [unit.name for unit in ranking.against(3)] == ["channel 1 of near"]
    assert [unit.layer for unit in rank_units(list(layers.values()), top=2)] == ["0", "1"]


@pytest.mark.parametrize("aggregate", ["sum", "mean", "max"])
def test_shares_of_the_quantity_divide_contributions_by_how_far_it_moved(aggregate) -> None:
    influences = {"a": values(2, 3, 4, 4), "b": values(2, 5)}
    activations = {name: x.flip(0) for name, x in influences.items()}
    asked = {"by": "contribution", "aggregate": aggregate, "reference": 0.5}
    ranking = rank_units(influences, activations, change=torch.tensor([-1.0, -3.0]), **asked)
    for unit in ranking:
        alone = rank_units(influences[unit.layer], activations[unit.layer], **asked)
        (same,) = [other for other in alone if other.index == unit.index]
        assert unit.value == pytest.approx(same.value)
        assert unit.share == pytest.approx(same.value / 2)  # the sign says: raises or lowers
    shares = [unit.share for unit in ranking]
    assert shares == sorted(shares, reverse=True)


def test_in_linear_networks_each_layer_s_shares_of_the_quantity_add_up_to_one() -> None:
    torch.manual_seed(0)
    parts = [torch.nn.Linear(4, 6), torch.nn.Linear(6, 5), torch.nn.Linear(5, 1)]
    model = torch.nn.Sequential(*parts).double()
    x, origin = values(3, 4), torch.zeros(1, 4, dtype=torch.float64)
    names = ["0", "1"]
    measure = DistributionalInfluence(model, names, distribution=Point(), quantity=ClassScore(0))
    influences = dict(zip(names, measure.attribute(x), strict=True))
    here = {"0": parts[0](x), "1": parts[1](parts[0](x))}
    begin = {"0": parts[0](origin).expand(3, -1), "1": parts[1](parts[0](origin)).expand(3, -1)}
    change = (model(x) - model(origin))[:, 0].detach()
    ranking = rank_units(influences, here, reference=begin, by="contribution", change=change)
    sign = math.copysign(1.0, float(change.mean()))
    for name in names:
        assert sum(u.share for u in ranking.layers[name]) == pytest.approx(sign)
    assert sum(unit.share for unit in ranking) == pytest.approx(2 * sign)  # counted twice


def test_each_layer_may_have_its_own_axis() -> None:
    layers = {"maps": values(1, 4, 3, 3), "flat": values(1, 6)}
    ranking = rank_units(layers, axis={"maps": "position", "flat": {"left": [0, 1, 2]}})
    assert {unit.axis for unit in ranking.layers["maps"]} == {"position"}
    assert [unit.name for unit in ranking.layers["flat"]] == ["left of flat"]


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        ([], {}, "at least one layer"),
        ({"a": torch.full((1, 2), torch.nan)}, {}, "layer a: .* holds NaN"),
        ({"a": torch.ones(1, 2)}, {"change": 1.0}, "a slope, not a part of a change"),
        ({"a": torch.ones(1, 2)}, {"by": "contribution"}, "layer a: .* pass them as the second"),
        ({"a": torch.ones(1, 2)}, {"activations": {"b": torch.ones(1, 2)}}, r"got \['b'\]"),
        (
            {"a": torch.ones(1, 2)},
            {"activations": [torch.ones(1, 2)], "by": "contribution", "change": 0.0},
            "shares can be taken of",
        ),
    ],
)
def test_bad_layers_say_what_came(layers, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        rank_units(layers, **options)

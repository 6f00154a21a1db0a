import dataclasses

import pytest
import torch

from captum_influence.explain import Axis, rank_units


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


def test_a_list_of_layers_is_refused() -> None:
    with pytest.raises(TypeError, match="one by one"):
        rank_units([torch.ones(1, 3)])


def test_an_axis_is_taken_as_it_is() -> None:
    axis = Axis("column", (2, 3), (1,))
    torch.testing.assert_close(
        rank_units(torch.ones(1, 2, 3), axis=axis).values, torch.full((3,), 2.0)
    )

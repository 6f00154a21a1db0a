"""Axes pool over all that belongs to one unit, and address it again."""

import pytest
import torch
from torch import Tensor

from captum_influence.units.axes import Axis

POOLS = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}


def values(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("aggregate", POOLS)
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
def test_pooling_is_torchs_own_over_the_other_dimensions(aggregate, axis, shape, pooled) -> None:
    x = values(*shape)
    found = Axis.ensure(axis, shape[1:])
    expected = POOLS[aggregate](x, dim=pooled) if pooled else x
    torch.testing.assert_close(found.pool(x, aggregate), expected)
    assert found.sizes == tuple(expected.shape[1:])


@pytest.mark.parametrize("aggregate", POOLS)
def test_heads_of_a_token_layer_split_its_last_dimension(aggregate) -> None:
    x = values(2, 5, 6)
    axis = Axis.ensure("head", (5, 6), heads=3)
    expected = POOLS[aggregate](x.view(2, 5, 3, 2), dim=(1, 3))
    torch.testing.assert_close(axis.pool(x, aggregate), expected)
    assert axis.sizes == (3,)


@pytest.mark.parametrize("aggregate", POOLS)
def test_heads_at_each_position(aggregate) -> None:
    x = values(2, 5, 6)
    axis = Axis.ensure(("position", "head"), (5, 6), heads=3)
    torch.testing.assert_close(axis.pool(x, aggregate), POOLS[aggregate](x.view(2, 5, 3, 2), dim=3))
    assert axis.sizes == (5, 3)
    chosen = torch.zeros(1, 5, 3, dtype=torch.bool)
    chosen[0, 4, 1] = True
    entries = torch.zeros(1, 5, 6, dtype=torch.bool)
    entries[0, 4, 2:4] = True
    assert torch.equal(axis.spread(chosen.flatten(1)), entries)
    torch.testing.assert_close(x[0][axis.selector((4, 1))], x[0, 4, 2:4])
    with pytest.raises(ValueError, match="heads="):
        Axis.ensure(("position", "head"), (5, 6))


@pytest.mark.parametrize("axis", ["channel", "position", "neuron", "head", 2, {"a": [1, 4]}])
def test_a_selector_addresses_what_was_pooled(axis) -> None:
    x = values(2, 5, 6)
    found = Axis.ensure(axis, (5, 6), heads=3 if axis == "head" else None)
    pooled = found.pool(x)
    for index in torch.ones(found.sizes).nonzero().tolist():
        chosen = x[(slice(None), *found.selector(tuple(index)))]
        torch.testing.assert_close(chosen.reshape(2, -1).sum(1), found.entry(pooled, tuple(index)))


@pytest.mark.parametrize("axis", ["channel", "position", "neuron", "head", {"a": [1], "b": [1, 4]}])
def test_spreading_is_the_other_way_round(axis) -> None:
    """Of ones, what is spread of one unit and pooled again is the size of that unit alone."""
    found = Axis.ensure(axis, (5, 6), heads=3 if axis == "head" else None)
    sizes = found.pool(torch.ones(1, 5, 6)).flatten()
    chosen = torch.eye(len(sizes), dtype=torch.bool)
    spread = found.spread(chosen).expand(-1, 5, 6)
    assert spread.dtype == torch.bool
    again = found.pool(spread.double()).flatten(1).diagonal()
    torch.testing.assert_close(again, sizes.double())
    assert spread.flatten(1).sum(1).tolist() == sizes.tolist()


def test_groups_have_labels_and_others_numbers() -> None:
    assert Axis.ensure({"wheels": [0, 2]}, (3, 4, 4)).label((0,)) == "wheels"
    assert Axis.ensure("channel", (3, 4, 4)).label((0,)) is None


def test_an_axis_is_taken_as_it_is() -> None:
    axis = Axis("column", (2, 3), (1,))
    assert Axis.ensure(axis, (2, 3)) is axis
    assert axis.pool(torch.ones(1, 2, 3)).tolist() == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize(
    ("axis", "shape", "heads", "message"),
    [
        ("channel", (), None, "at least one unit per example"),
        ("position", (3,), None, "no positions: rank its channels"),
        ("pixel", (3,), None, "got 'pixel'"),
        (2, (3,), None, "a dimension from 1 to 1"),
        (0, (3,), None, "a dimension from 1 to 1"),
        ("head", (4, 6), None, "heads="),
        ("head", (4, 6), 4, "heads=4"),
        ("group", (4, 6), None, "pass the same mapping"),
    ],
)
def test_a_layer_without_such_units_says_what_came(axis, shape, heads, message) -> None:
    with pytest.raises(ValueError, match=message):
        Axis.ensure(axis, shape, heads)


@pytest.mark.parametrize(
    ("axis", "channel", "words"),
    [
        ("channel", 3, "6 channels along dimension 3 of (examples, 4, 5, 6)"),
        ("channel", None, "4 channels along dimension 1 of (examples, 4, 5, 6)"),
        ("position", 3, "20 positions along dimensions 1 and 2 of (examples, 4, 5, 6)"),
        ([0, 0, 1, 1, 1, 2], 3, "3 groups along dimension 3 of (examples, 4, 5, 6)"),
        (2, None, "5 units along dimension 2 of (examples, 4, 5, 6)"),
    ],
)
def test_it_says_how_many_units_there_are_and_where(axis, channel, words) -> None:
    assert Axis.ensure(axis, (4, 5, 6), channel=channel).in_words() == words


def test_it_says_how_many_heads_there_are() -> None:
    one, both = (Axis.ensure(a, (5, 6), heads=3) for a in ("head", ("position", "head")))
    assert one.in_words() == "3 heads along dimension 2 of (examples, 5, 6)"
    assert both.in_words() == "15 position-heads along dimensions 1 and 2 of (examples, 5, 6)"

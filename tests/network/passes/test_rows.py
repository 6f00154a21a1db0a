from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence.network.passes.rows import AsManyRows, layout

ONE = torch.arange(4.0).reshape(1, 4)


@dataclass
class Output:
    logits: Tensor
    table: Tensor
    more: Any = None


def _output(rows: Tensor) -> Output:
    return Output(rows, torch.arange(4.0), {"list": [rows * 2], "number": 3})


def test_a_length_that_happens_to_match_is_no_row() -> None:
    table = torch.randn(3, 4)  # three rows, for one example and for three
    assert not layout(table, table, 3).has_rows
    assert layout(ONE, torch.cat([ONE] * 3), 3).all_rows


def test_structures_are_followed() -> None:
    three = torch.cat([ONE, 2 * ONE, 3 * ONE])
    found = layout(_output(ONE), _output(three), 3)
    assert found.has_rows
    assert not found.all_rows
    taken = found.taken(_output(three), torch.tensor([2, 0]))
    torch.testing.assert_close(taken.logits, torch.cat([3 * ONE, ONE]))
    torch.testing.assert_close(taken.more["list"][0], 2 * torch.cat([3 * ONE, ONE]))
    torch.testing.assert_close(taken.table, torch.arange(4.0))
    joined = found.joined([_output(ONE), _output(2 * ONE)])
    torch.testing.assert_close(joined.logits, three[:2])
    assert joined.more["number"] == 3


def test_a_list_of_one_item_per_example() -> None:
    items = [{"score": torch.tensor(float(i))} for i in range(3)]
    found = layout(items[:1], items, 3)
    assert found.taken(items, torch.tensor([2, 2])) == [items[2], items[2]]
    assert found.joined([items[:2], items[2:]]) == items
    assert found.spread(items[:1], 2) == [items[0], items[0]]


@pytest.mark.parametrize("shape", [(), (4,)])
def test_a_squeeze_that_takes_the_one_row_away(shape: tuple[int, ...]) -> None:
    one, three = torch.rand(shape), torch.rand(3, *shape)
    found = layout(one, three, 3)
    assert found.fixed(one, 1).shape == (1, *shape)
    assert found.as_came(found.fixed(one, 1), 1).shape == shape
    assert found.fixed(three, 3) is three


def test_rows_are_spread_without_memory() -> None:
    found = layout(ONE, torch.cat([ONE] * 3), 3)
    assert found.spread(ONE, 1000).untyped_storage().nbytes() == ONE.untyped_storage().nbytes()


@pytest.mark.parametrize(
    ("one", "three"),
    [(torch.rand(7, 1, 2), torch.rand(7, 3, 2)), (ONE, [ONE]), ([ONE, ONE], [ONE])],
)
def test_what_has_its_examples_elsewhere_is_refused(one: Any, three: Any) -> None:
    with pytest.raises(ValueError, match="for one row"):
        layout(one, three, 3)


def test_where_one_size_only_runs_all_is_taken_for_rows() -> None:
    found, three = AsManyRows(), torch.rand(3, 2)
    torch.testing.assert_close(found.taken(three, torch.tensor([1])), three[1:2])
    torch.testing.assert_close(found.joined([three, three]), torch.cat([three, three]))
    assert found.spread(three[:1], 5).shape == (5, 2)
    assert found.fixed(three, 3) is found.as_came(three, 3) is three

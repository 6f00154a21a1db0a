"""A loader's own iteration is believed to go through its data set in order only if it does."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from captum_influence.data.batches import Batches

N = 11
X, Y = torch.arange(float(N)), torch.arange(N) % 3


class Own(DataLoader[Any]):
    """Yields what its data set holds, changed, in an order of its own."""

    order: Sequence[int] = range(N)
    factor = 1.0

    def __iter__(self) -> Iterator[Any]:
        x, y = self.dataset[:]
        for rows in torch.tensor(list(self.order)).split(4):
            yield self.factor * x[rows], y[rows]


def _read(factor: float = 1.0, order: Sequence[int] = range(N), y: torch.Tensor = Y) -> list[int]:
    loader = Own(TensorDataset(X, y), 4)
    loader.factor, loader.order = factor, order
    found = [batch.places for batch in Batches.ordered(loader).iterate()]
    return list(torch.cat(found).tolist())


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_examples_in_order_have_their_places(factor: float) -> None:
    assert _read(factor) == list(range(N))


def test_alike_targets_tell_nothing_where_the_inputs_are_the_data_set_s() -> None:
    assert _read(y=torch.zeros(N)) == list(range(N))


@pytest.mark.parametrize(
    ("asked", "came"),
    [
        ({"order": list(range(N))[::-1]}, "another target than its data set at 0"),
        ({"order": [0, 2, 1, 3, *range(5, N), 4]}, "another target than its data set at 4"),
        ({"order": [*range(N), 0, 1]}, "more than the 11 examples of its data set"),
        ({"factor": 3.0, "y": torch.zeros(N)}, "other inputs .* the same target throughout"),
    ],
    ids=["reversed", "shifted", "repeated", "unknown"],
)
def test_any_other_order_is_refused_and_the_cures_run(asked: Any, came: str) -> None:
    with pytest.raises(ValueError, match=f"in order, .* a Own with .* {came}: pass the data set"):
        _read(**asked)
    loader = Own(TensorDataset(X, Y), 4)
    loader.order = list(reversed(range(N)))
    as_they_come: Any = DataLoader(list(loader), batch_size=None)
    for cure, inputs in ((loader.dataset, X), (as_they_come, X.flip(0))):
        found = list(Batches.ordered(cure).iterate())
        assert torch.equal(torch.cat([batch.inputs[0] for batch in found]), inputs)
        assert torch.equal(torch.cat([batch.places for batch in found]), torch.arange(N))

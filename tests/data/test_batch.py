"""A batch knows the place of its examples in the data set, or says that it can't."""

import pytest
import torch

from captum_influence.data.batch import Batch

INPUTS = (torch.zeros(3, 2),)


def test_places_are_the_indices_or_follow_from_the_start() -> None:
    assert Batch(1, 5, INPUTS, None).places.tolist() == [5, 6, 7]
    assert Batch(1, 5, INPUTS, None, indices=[9, 0, 4]).places.tolist() == [9, 0, 4]


@pytest.mark.parametrize("indices", [[1, 2], [1, 2, 3, 4]])
def test_other_examples_than_were_asked_for_have_no_place(indices: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"the {len(indices)} examples .* got 3: collate_fn"):
        _ = Batch(0, 0, INPUTS, None, indices=indices).places


def test_all_of_it_moves() -> None:
    batch = Batch(0, 0, INPUTS, (torch.ones(3), "a"), (None,)).to(torch.device("meta"))
    assert (batch.inputs[0].device.type, batch.target[0].device.type) == ("meta", "meta")
    assert (len(batch), batch.target[1], batch.further) == (3, "a", (None,))

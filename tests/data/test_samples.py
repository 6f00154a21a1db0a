"""A pass goes on over the same data: known by a few examples, or by the batches that were read."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from captum_influence.data.identity import UNKNOWN
from captum_influence.data.samples import Trail, refuse_shares, sampled
from captum_influence.data.sharding import Shard

N = 40


class Data(Dataset[Any]):
    """Examples that may be changed, broken or drawn at random."""

    def __init__(self, scale: float = 1.0, noise: float = 0.0, broken: int | None = None) -> None:
        self.scale, self.noise, self.broken, self.reads = scale, noise, broken, 0

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.reads += 1
        if index == self.broken:
            raise OSError("broken")
        drawn = torch.rand(3) + random.random() + float(np.random.rand())  # noqa: NPY002
        return self.scale * torch.full((3,), float(index)) + self.noise * drawn, index % 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_few_examples_are_read_from_end_to_end(workers: int) -> None:
    data = Data()
    found = sampled(DataLoader(data, 8, shuffle=True, num_workers=workers))
    assert list(found) == ["0", "13", "26", "39"]
    assert found == sampled(DataLoader(Data(), 4))
    assert found != sampled(DataLoader(Data(scale=2.0), 8))
    assert data.reads == (8 if workers == 0 else 0)


def test_what_is_drawn_at_random_is_not_known_and_the_rest_is() -> None:
    for image, label in sampled(DataLoader(Data(noise=1.0), 8)).values():
        assert image == UNKNOWN
        assert label != UNKNOWN


def test_what_cannot_be_read_is_not_known() -> None:
    found = sampled(DataLoader(Data(broken=N - 1), 8))
    assert found.pop(str(N - 1)) == UNKNOWN
    whole = sampled(DataLoader(Data(), 8))
    assert all(whole[place] == told for place, told in found.items())


def test_random_states_stay_as_they_are() -> None:
    torch.manual_seed(0)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    sampled(DataLoader(Data(noise=1.0), 8))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # noqa: NPY002


def test_a_data_set_of_none_or_one_has_what_it_has() -> None:
    one = torch.utils.data.Subset(Data(), [5])
    assert list(sampled(DataLoader(one))) == ["0"]
    assert sampled(DataLoader(torch.utils.data.Subset(Data(), []))) == {}


def _batches(seed: int = 0, count: int = 5) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {"x": torch.randn(4, 3, generator=generator), "y": [0, 1, "a", None]} for _ in range(count)
    ]


def _followed(batches: list[Any], trail: Trail) -> str:
    for number, batch in enumerate(batches):
        trail.add(number, batch)
    trail.end(len(batches))
    return trail.digest


def test_the_same_batches_leave_the_same_trail() -> None:
    known = _followed(_batches()[:3], Trail())
    assert _followed(_batches(), Trail(known, 3)) == _followed(_batches(), Trail())
    assert _followed(_batches()[:3], Trail(known, None)) == known


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (_batches(1), "other batches than the 3 that it had read"),
        ([*_batches()[1:3], *_batches()[:1]], "other batches"),
        (_batches()[:2], "2 batches, fewer than the 3 that it had read"),
    ],
)
def test_other_batches_are_refused(batches: list[Any], message: str) -> None:
    known = _followed(_batches()[:3], Trail())
    with pytest.raises(ValueError, match=rf"another question: data differ.*{message}"):
        _followed(batches, Trail(known, 3))


def test_more_batches_than_a_finished_pass_had_are_refused() -> None:
    known = _followed(_batches()[:3], Trail())
    with pytest.raises(ValueError, match="other batches than those that it had read, 5 of them"):
        _followed(_batches(), Trail(known, None))


def test_processes_that_read_something_else_each_are_refused() -> None:
    class Two(Shard):
        other: Any = None

        def gather(self, value: Any) -> list[Any]:
            return [value, Two.other or value]

    shard = Two(0, 2)
    refuse_shares(shard, (torch.ones(2, 3), [1, 2]))
    Two.other = "something else"
    with pytest.raises(ValueError, match="the same batches in each of 2 processes"):
        refuse_shares(shard, (torch.ones(2, 3), [1, 2]))

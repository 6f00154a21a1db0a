"""Which examples a loader goes through, in which order, and the same ones read in another."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from captum_influence.data.orders import (
    drawn,
    in_own_order,
    is_indexed,
    iterates_itself,
    length_of,
    refuse_shared_out,
    reordered,
    sampling_told,
    slices,
)

N = 11
DATA = TensorDataset(torch.arange(N))
MIXED = [3, 1, 10, 0, 2, 9, 4, 8, 5, 7, 6]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(range(N))


class Own(DataLoader[Any]):
    """A loader whose batches are its own doing."""

    def __iter__(self) -> Any:
        return super().__iter__()


class Ordered(Sampler[Any]):
    """A sampler that torch doesn't know."""

    def __init__(self, order: list[Any]) -> None:
        self.order = order

    def __iter__(self) -> Iterator[Any]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)


class Endless(Ordered):
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from self.order


def _read(loader: DataLoader[Any]) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


WHOLE = {
    "in order": {"batch_size": 4},
    "shuffled": {"batch_size": 4, "shuffle": True},
    "the rest is dropped": {"batch_size": 4, "drop_last": True},
    "with replacement": {"batch_size": 4, "sampler": RandomSampler(DATA, replacement=True)},
    "some at a time": {"batch_size": 4, "sampler": RandomSampler(DATA, num_samples=5)},
    "weighted": {"batch_size": 4, "sampler": WeightedRandomSampler(torch.rand(N) + 0.1, 30)},
    "every index of a subset": {"batch_size": 4, "sampler": SubsetRandomSampler(MIXED)},
    "one process's share": {"batch_size": 4, "sampler": DistributedSampler(DATA, 2, 1)},
    "a list": {"batch_size": 4, "sampler": MIXED},
    "a sampler of one's own": {"batch_size": 4, "sampler": Ordered(MIXED)},
    "batches of a shuffle": {"batch_sampler": BatchSampler(RandomSampler(DATA), 4, True)},
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_data_set_is_read_in_its_own_order(name: str) -> None:
    loader, order = in_own_order(DataLoader(DATA, **WHOLE[name]))
    assert order is not None
    assert drawn(order) == drawn(slices(N, 4))
    assert _read(loader) == drawn(slices(N, 4))


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_sampler": [MIXED[:2], MIXED[2:7], MIXED[7:]]},
        {"batch_sampler": Ordered([MIXED[:2], MIXED[2:7], MIXED[7:]])},
        {"batch_size": None, "sampler": [MIXED[:2], MIXED[2:7], MIXED[7:]]},
    ],
    ids=["a list", "a sampler", "a data set that makes batches"],
)
def test_batches_that_were_put_together_stay_together(settings: dict[str, Any]) -> None:
    loader, order = in_own_order(DataLoader(DATA, **settings))
    assert order == [MIXED[:2], MIXED[2:7], MIXED[7:]]
    assert _read(loader) == order


def test_batches_that_the_data_set_makes_come_in_its_order() -> None:
    whole = torch.arange(12).reshape(4, 3)
    loader, order = in_own_order(DataLoader(whole, batch_size=None, shuffle=True))  # type: ignore[arg-type]
    assert order is None
    assert torch.equal(torch.stack(list(loader)), whole)
    plain = DataLoader(whole, batch_size=None)  # type: ignore[arg-type]
    assert in_own_order(plain) == (plain, None)


PART = {
    "a subset": {"batch_size": 4, "sampler": SubsetRandomSampler(range(8))},
    "an index twice": {"batch_size": 4, "sampler": [*MIXED[:-1], 0]},
    "weights of zero": {"batch_size": 4, "sampler": WeightedRandomSampler([1.0, 0] * 5 + [1], 9)},
    "too few weights": {"batch_size": 4, "sampler": WeightedRandomSampler([1.0] * 5, 9)},
    "another length": {"batch_size": 4, "sampler": RandomSampler(range(5))},
    "batches of some": {"batch_sampler": [[0, 1], [2]]},
    "batches that overlap": {"batch_sampler": [MIXED, [0]]},
    "endless": {"batch_size": 4, "sampler": Endless([0, 1])},
    "endless batches": {"batch_sampler": Endless([[0, 1]])},
    "whole batches of some": {"batch_size": None, "sampler": [0, 1]},
    "whole batches by index": {"batch_size": None, "sampler": [[0, 1], [2]]},
}


@pytest.mark.parametrize("name", PART)
def test_a_part_of_the_data_set_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"once each, .* place .* order: pass Subset\(dataset"):
        in_own_order(DataLoader(DATA, **PART[name]))


def test_a_loader_with_an_iteration_of_its_own_is_read_as_it_is() -> None:
    own = Own(DATA, 4)
    assert iterates_itself(own)
    assert not iterates_itself(DataLoader(DATA))
    assert in_own_order(own) == (own, None)
    for settings, message in (
        ({"shuffle": True}, "shuffle=False, .* got a Own with an iteration of its own over a Ran"),
        ({"drop_last": True}, "drop_last=True: make it with drop_last=False"),
        ({"sampler": MIXED}, "over a list"),
    ):
        with pytest.raises(ValueError, match=message):
            in_own_order(Own(DATA, 4, **settings))


def test_a_data_set_without_a_length_has_no_places() -> None:
    class Unsized(Dataset[Any]):
        def __getitem__(self, index: int) -> int:
            return index

    with pytest.raises(ValueError, match=r"data set with a length.* got Unsized: give it __len__"):
        in_own_order(DataLoader(Unsized(), sampler=[1, 0]))
    assert length_of(Unsized()) is None
    assert length_of(DATA) == N


def test_only_batches_of_indices_are_indexed() -> None:
    assert is_indexed(DataLoader(DATA, 4, shuffle=True))
    for other in (
        Own(DATA),
        DataLoader(Stream()),
        DataLoader(DATA, batch_size=None),
        [torch.zeros(2)],
    ):
        assert not is_indexed(other)
    stream = DataLoader(Stream())
    assert in_own_order(stream) == (stream, None)


def test_a_loader_that_is_shared_out_already_is_refused() -> None:
    loader = DataLoader(DATA, 4, sampler=DistributedSampler(DATA, 2, 1))
    with pytest.raises(ValueError, match=r"in each of 2 processes.*DistributedSampler: make it"):
        refuse_shared_out(loader, 2)
    refuse_shared_out(loader, 1)
    refuse_shared_out(DataLoader(DATA, 4, sampler=DistributedSampler(DATA, 1, 0)), 2)
    refuse_shared_out([torch.zeros(2)], 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_s_own_way_of_reading_is_kept(workers: int) -> None:
    def negative(items: list[Any]) -> Any:
        return [-torch.stack([item for (item,) in items])]

    loader = DataLoader(DATA, 4, shuffle=True, collate_fn=negative, num_workers=workers)
    other = reordered(loader, [[3, 1], [10]])
    assert _read(other) == [[-3, -1], [-10]]
    assert other.num_workers == workers


def _told(**settings: Any) -> Any:
    loader = DataLoader(DATA, **settings)
    return sampling_told(loader, drawn(loader.batch_sampler))


def test_ways_through_a_data_set_are_told_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    ways = [
        _told(batch_size=4),
        _told(batch_size=3),
        _told(batch_size=4, drop_last=True),
        _told(batch_size=4, sampler=MIXED),
        _told(batch_size=4, shuffle=True, generator=generator),
        _told(batch_size=3, shuffle=True),
        _told(batch_size=4, sampler=RandomSampler(DATA, replacement=True)),
        _told(batch_size=4, sampler=SubsetRandomSampler([1, 0])),
        _told(batch_size=4, sampler=SubsetRandomSampler([1, 2])),
        _told(batch_size=4, sampler=WeightedRandomSampler([1.0] * N, 5)),
        _told(batch_size=4, sampler=WeightedRandomSampler([2.0] * N, 5)),
        _told(batch_size=4, sampler=Ordered([1, 2, 3])),
        _told(batch_size=4, sampler=Ordered([1, 2, 4])),
    ]
    assert all(a != b for i, a in enumerate(ways) for b in ways[:i])


def test_the_same_way_at_random_is_the_same_way() -> None:
    assert _told(batch_size=4, shuffle=True) == _told(batch_size=4, shuffle=True)
    weighted = [WeightedRandomSampler([1.0] * N, 5) for _ in range(2)]
    assert _told(batch_size=4, sampler=weighted[0]) == _told(batch_size=4, sampler=weighted[1])
    assert _told(batch_size=4, sampler=Ordered([1, 2])) == _told(
        batch_size=4, sampler=Ordered([2, 1])
    )
    sequential = SequentialSampler(DATA)
    assert _told(batch_size=4) == _told(batch_size=4, sampler=sequential)


@pytest.mark.parametrize(
    ("settings", "cure"),
    [({"num_workers": 2}, {"num_workers": 1}), ({"drop_last": True}, {"drop_last": False})],
)
def test_a_stream_that_is_mixed_or_cut_short_is_refused(
    settings: dict[str, Any], cure: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"order, got .*: make .* with {next(iter(cure))}="):
        in_own_order(DataLoader(Stream(), 4, **settings))
    assert in_own_order(DataLoader(Stream(), 4, **cure))[1] is None

"""One reader for all loaders: every batch is read once, by its owner, under its number."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from captum_influence.data.batch import Batch, PromptBatch
from captum_influence.data.batches import (
    Batches,
    images_of,
    labelled,
    maybe_labelled,
    numbered,
    repeatable,
)
from captum_influence.data.items import Accepts
from captum_influence.data.samples import Trail
from captum_influence.data.sharding import Shard

CPU = torch.device("cpu")
N = 11


def _data() -> TensorDataset:
    return TensorDataset(torch.arange(N).float(), torch.arange(N) % 3)


class Stream(IterableDataset[Any]):
    """Items that can't be asked for by index."""

    def __iter__(self) -> Iterator[Any]:
        return iter([_data()[i] for i in range(N)])


class Counting(Dataset[Any]):
    """Remembers which items were read."""

    def __init__(self) -> None:
        self.reads: list[int] = []

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> Any:
        self.reads.append(index)
        return _data()[index]


SOURCES = {
    "data set": lambda: Batches.ordered(_data(), 4),
    "loader": lambda: Batches.ordered(DataLoader(_data(), 4)),
    "stream": lambda: Batches.ordered(Stream(), 4),
    "batches": lambda: Batches.whole(list(DataLoader(_data(), 4))),
    "shared loader": lambda: Batches.shared(DataLoader(_data(), 4), Shard()),
    "shared list": lambda: Batches.shared(list(DataLoader(_data(), 4)), Shard()),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("world", [1, 2, 5])
def test_processes_share_all_batches_under_their_numbers(source: str, world: int) -> None:
    batches = SOURCES[source]()
    found: dict[int, Batch] = {}
    for rank in range(world):
        for batch in batches.iterate(Shard(rank, world)):
            assert batch.number % world == rank
            found[batch.number] = batch
    assert sorted(found) == [0, 1, 2]
    for number, batch in found.items():
        assert batch.start == 4 * number
        assert batch.inputs[0].tolist() == list(range(batch.start, min(N, batch.start + 4)))
        assert torch.equal(batch.target, batch.inputs[0].long() % 3)
        assert len(batch) == len(batch.target)
    assert batches.count() == N


@pytest.mark.parametrize("source", SOURCES)
def test_a_pass_goes_on_from_any_batch(source: str) -> None:
    batches = SOURCES[source]()
    assert [batch.start for batch in batches.iterate(first=1)] == [4, 8]
    assert [batch.start for batch in batches.iterate(Shard(1, 2), 1)] == [4]
    assert list(batches.iterate(first=2**62)) == []


def test_only_what_is_asked_for_is_read() -> None:
    data = Counting()
    batches = Batches.ordered(data, 4)
    assert (batches.total, batches.count(), data.reads) == (3, N, [])
    assert len(list(batches.iterate(Shard(1, 2)))) == 1
    assert data.reads == [4, 5, 6, 7]


def test_a_shuffled_loader_is_read_in_the_order_that_was_drawn() -> None:
    torch.manual_seed(0)
    batches = Batches.shared(DataLoader(_data(), 4, shuffle=True), Shard())
    passes = [torch.cat([b.inputs[0] for b in batches.iterate()]) for _ in range(2)]
    assert torch.equal(*passes)
    assert torch.equal(passes[0].sort().values, torch.arange(N).float())
    assert not torch.equal(passes[0], torch.arange(N).float())
    again = Batches.shared(DataLoader(_data(), 4, shuffle=True), Shard())
    known = again.taken_up(batches.order, Shard())
    assert again.taken_up(None, Shard()) is again
    assert torch.equal(torch.cat([b.inputs[0] for b in known.iterate()]), passes[0])


def test_a_loader_s_own_way_of_reading_is_kept() -> None:
    def collate(items: list[Any]) -> Any:
        return torch.stack([-x for x, _ in items]), torch.stack([y for _, y in items])

    def draw(order: list[list[int]]) -> Any:
        loader = DataLoader(_data(), batch_sampler=order, collate_fn=collate)
        return Batches.shared(loader, Shard())

    (first, second) = draw([[3, 1], [10]]).iterate()
    assert (first.inputs[0].tolist(), second.inputs[0].tolist()) == ([-3, -1], [-10])
    assert (first.start, second.start) == (0, 2)


def test_checkpoints_of_two_runs_are_not_mixed() -> None:
    class Pair(Shard):
        def gather(self, value: Any) -> list[Any]:
            return [value, value[::-1]]

    batches = Batches.shared(DataLoader(_data(), 2), Shard())
    with pytest.raises(ValueError, match="in another order: remove them"):
        batches.taken_up([[0, 1], [2, 3]], Pair(0, 2))


def test_a_process_without_a_checkpoint_takes_the_others_order() -> None:
    class Pair(Shard):
        def gather(self, value: Any) -> list[Any]:
            return [value, [[5, 4], [3]]]

    batches = Batches.shared(DataLoader(_data(), 2), Shard())
    assert batches.taken_up(None, Pair(0, 2)).order == [[5, 4], [3]]


def test_all_processes_take_the_order_that_the_first_has_drawn() -> None:
    class Second(Shard):
        def gather(self, value: Any) -> list[Any]:
            return [[[5, 4], [3]], value]

    found = Batches.shared(DataLoader(_data(), 2, shuffle=True), Second(1, 2))
    assert found.order == [[5, 4], [3]]


def test_examples_have_their_places_in_the_data_set() -> None:
    order = [[3, 1, 10], [0, 2, 9, 4], [8, 5, 7, 6]]
    batches = Batches.ordered(DataLoader(_data(), batch_sampler=order))
    found = list(batches.iterate())
    assert [batch.places.tolist() for batch in found] == order
    assert all(torch.equal(batch.inputs[0], batch.places.float()) for batch in found)
    shuffled = Batches.ordered(DataLoader(_data(), 4, shuffle=True, drop_last=True))
    assert torch.equal(torch.cat([b.places for b in shuffled.iterate()]), torch.arange(N))
    assert (shuffled.count(), batches.count()) == (N, N)


def test_a_loader_that_yields_less_than_its_data_set_is_refused() -> None:
    class Cut(DataLoader[Any]):
        def __iter__(self) -> Any:
            return iter(list(super().__iter__())[:-1])

    batches = Batches.ordered(Cut(_data(), 4))
    assert batches.count() == N
    with pytest.raises(ValueError, match=r"its 11 examples, .* order, got 8 from a Cut: pass"):
        list(batches.iterate())


def test_a_subclass_s_own_iteration_is_kept() -> None:
    class Doubling(DataLoader[Any]):
        def __iter__(self) -> Any:
            for x, y in super().__iter__():
                yield 2 * x, y

    for batches in (
        Batches.shared(Doubling(_data(), 4), Shard()),
        Batches.ordered(Doubling(_data(), 4)),
    ):
        assert torch.equal(
            torch.cat([b.inputs[0] for b in batches.iterate()]), 2 * torch.arange(N).float()
        )


def test_what_was_read_is_followed() -> None:
    batches, trail = Batches.shared(list(DataLoader(_data(), 4)), Shard()), Trail()
    digests = [trail.digest for _ in batches.iterate(trail=trail)]
    assert len(set(digests)) == 3
    assert [batch.number for batch in batches.iterate(first=2, trail=Trail(digests[1], 2))] == [2]
    with pytest.raises(ValueError, match="another question: data differ"):
        list(batches.iterate(first=2, trail=Trail(digests[0], 2)))


def test_data_and_order_are_told_apart() -> None:
    loaders = [
        DataLoader(_data(), 4),
        DataLoader(_data(), 3),
        DataLoader(_data(), 4, shuffle=True),
        DataLoader(TensorDataset(torch.zeros(N), torch.arange(N) % 3), 4),
        DataLoader(TensorDataset(*_data()[:8]), 4),
        DataLoader(_data(), 4, collate_fn=lambda items: items),
        list(DataLoader(_data(), 4)),
    ]
    told = [Batches.shared(loader, Shard()).identity for loader in loaders]
    assert all(a != b for i, a in enumerate(told) for b in told[:i])
    assert Batches.shared(DataLoader(_data(), 4), Shard()).identity == told[0]


def test_a_batch_a_data_set_and_a_loader_are_batches() -> None:
    images, labels = torch.rand(3, 2), torch.tensor([0, 1, 2])
    (batch,) = Batches.ensure((images, labels.numpy())).iterate()
    assert torch.equal(batch.inputs[0], images)
    assert torch.equal(batch.target, labels)
    assert len(list(Batches.ensure(DataLoader(_data(), 5)).iterate())) == 3
    assert len(list(Batches.ensure(_data()).iterate())) == 1
    batches = Batches.ordered(_data())
    assert Batches.ensure(batches) is batches


def test_what_has_no_known_order_is_refused() -> None:
    with pytest.raises(ValueError, match="got one whose list leaves some out"):
        Batches.ordered(DataLoader(_data(), 4, sampler=[3, 1]))
    with pytest.raises(ValueError, match="batch_size of at least 1, got 0"):
        Batches.ordered(_data(), 0)


@pytest.mark.parametrize(
    "batches",
    [
        Batches.ordered(TensorDataset(torch.zeros(0), torch.zeros(0)), 4),
        Batches.shared([], Shard()),
        Batches.shared(DataLoader(TensorDataset(torch.zeros(0)), 4), Shard()),
    ],
)
def test_nothing_to_read_is_refused(batches: Batches) -> None:
    with pytest.raises(ValueError, match=r"the loader is empty: expected at least one batch"):
        list(batches.iterate())


@pytest.mark.usefixtures("terminal")
def test_the_first_process_shows_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    batches = Batches.ordered(_data(), 4)
    list(batches.iterate(Shard(0, 2), bar="reading"))
    assert "reading: 100%" in capsys.readouterr().err
    list(batches.iterate(Shard(1, 2), bar="reading"))
    list(batches.iterate())
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("terminal")
def test_a_stream_shows_how_much_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert Batches.shared(DataLoader(Stream(), 4), Shard()).total is None
    list(Batches.ordered(Stream(), 4).iterate(bar="reading"))
    assert "3batch" in capsys.readouterr().err


# What a loader yields


def test_mappings_are_batches() -> None:
    batch = {"x": torch.rand(3, 2), "labels": torch.tensor([0, 1, 2])}
    (found,) = Batches.ensure(batch).iterate()
    assert torch.equal(found.inputs[0], batch["x"])
    assert torch.equal(found.target, batch["labels"])


def test_further_arguments_follow_the_inputs() -> None:
    def run(x: Tensor, a: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        return x

    batch = {"mask": torch.ones(3).long(), "x": torch.rand(3, 2)}
    (found,) = Batches.shared([batch], Shard(), accepts=Accepts.of(run)).iterate()
    assert len(found.inputs) == 1
    assert found.further[0] is None
    assert found.arguments == (batch["x"], None, batch["mask"])
    assert found.to(torch.device("meta")).further[1].device.type == "meta"


def test_a_batch_moves_its_tensors_and_nothing_else() -> None:
    batch = Batch(3, 12, (torch.ones(2, dtype=torch.float64), ["a", "b"]), None)
    moved = batch.to(torch.device("meta"))
    assert moved.inputs[0].device.type == "meta"
    assert (moved.inputs[1], moved.target) == (["a", "b"], None)
    assert (moved.number, moved.start, len(moved)) == (3, 12, 2)


def test_images_with_and_without_labels() -> None:
    images, labels = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    loader = [images, (images, labels), [images, {"name": "x"}], (images, labels.float())]
    assert all(found is images for found in images_of(loader, CPU))
    said = [found for _, found in maybe_labelled(loader, CPU)]
    assert [found is labels for found in said] == [False, True, False, False]
    assert [found is None for found in said] == [True, False, True, True]
    assert [(a is images, b is labels) for a, b in labelled([(images, labels)], CPU)] == [
        (True, True)
    ]


@pytest.mark.parametrize("labels", [None, torch.zeros(2), torch.zeros(2, 3).long(), ["a", "b"]])
def test_labels_are_class_numbers(labels: Any) -> None:
    images = torch.rand(2, 3, 4, 4)
    batch = images if labels is None else (images, labels)
    with pytest.raises(TypeError, match="one class number per image"):
        list(labelled([batch], CPU))


@pytest.mark.parametrize("read", [images_of, labelled, maybe_labelled])
def test_what_is_no_loader_of_images_is_refused(read: Any) -> None:
    with pytest.raises(ValueError, match="the loader is empty"):
        list(read([], CPU))
    with pytest.raises(TypeError, match="expected a loader that yields batches, got Tensor"):
        list(read(torch.rand(2, 3), CPU))
    with pytest.raises(TypeError, match="expected a loader that yields batches, got int"):
        list(read(3, CPU))
    with pytest.raises(TypeError, match=r"loader to yield images .* got a mapping"):
        list(read([{"image": "cat.png"}], CPU))


def test_what_can_be_read_only_once_is_refused() -> None:
    loader: list[Tensor] = [torch.rand(1)]
    assert repeatable(loader) is loader
    with pytest.raises(TypeError, match="can be read only once: make it a list"):
        repeatable(iter(loader))


def test_examples_are_numbered_as_the_loader_yields_them_or_says() -> None:
    pictures, labels = torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    cpu = torch.device("cpu")
    found = [places.tolist() for _, _, places in numbered([(pictures, labels)] * 2, cpu)]
    assert found == [[0, 1], [2, 3]]
    prompts = PromptBatch(torch.ones(2, 1, 3).long(), labels, torch.tensor([7, 2]))
    ((ids, said, places),) = numbered([prompts], cpu)
    assert (ids.shape, said.tolist(), places.tolist()) == ((2, 1, 3), [0, 1], [7, 2])

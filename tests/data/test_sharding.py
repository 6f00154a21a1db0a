"""Every item belongs to one process; alone, a process has all of it."""

import datetime

import pytest
import torch
import torch.distributed as dist

from captum_influence.data.sharding import Shard, joined_shard


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_every_item_is_one_process_s(world: int) -> None:
    shards = [Shard(rank, world) for rank in range(world)]
    for number in range(20):
        assert sum(shard.owns(number) for shard in shards) == 1


def test_a_process_alone_has_everything() -> None:
    shard, value = joined_shard(torch.device("cpu")), torch.ones(2)
    assert shard == Shard.current() == Shard(0, 1)
    assert shard.sum(value) is value
    assert shard.gather("a") == ["a"]


@pytest.mark.parametrize("patience", [0, -1.0, float("nan")])
def test_patience_is_a_time(patience: float) -> None:
    with pytest.raises(ValueError, match="patience as a positive number of seconds"):
        joined_shard(torch.device("cpu"), patience)


@pytest.mark.skipif(not dist.is_available(), reason="needs torch.distributed")
def test_another_process_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("connection closed")

    monkeypatch.setattr(dist, "all_gather_object", broken)
    monkeypatch.setattr(dist, "all_reduce", broken)
    monkeypatch.setattr(dist, "get_backend", lambda: "gloo")
    for meet in (lambda: Shard(1, 2).gather(3), lambda: Shard(1, 2).sum(torch.ones(1))):
        with pytest.raises(RuntimeError, match=r"all 2 processes .* process 1 waited in vain"):
            meet()


@pytest.mark.skipif(not dist.is_available(), reason="needs torch.distributed")
def test_a_group_of_one_is_still_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    store = dist.HashStore()
    minute = datetime.timedelta(seconds=60)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1, timeout=minute)
    try:
        assert Shard.current() == Shard(0, 1)
    finally:
        dist.destroy_process_group()

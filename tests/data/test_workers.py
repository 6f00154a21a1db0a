"""A worker that dies is told in words, and the cure shows why it did."""

import os
import signal
import time
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from captum_influence import DistributionalInfluence, InfluenceProfile, LayerInfluence, Point
from captum_influence.data.batches import images_of
from captum_influence.data.workers import workers_watched

NET = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()


class Fatal(Dataset[Any]):
    """Examples, one of which ends the process that reads it, or keeps it busy."""

    def __init__(self, fate: str) -> None:
        self.fate, self.parent = fate, os.getpid()

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Any:
        if index == 9 and os.getpid() == self.parent:
            raise KeyError("what went wrong")
        if index == 9 and self.fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 9 and self.fate == "late":
            time.sleep(20)
        if index == 9:
            raise KeyError("what went wrong")
        return torch.ones(3), index % 2


def _loader(fate: str, workers: int = 1) -> DataLoader[Any]:
    late = 1 if fate == "late" else 0
    return DataLoader(Fatal(fate), 4, num_workers=workers, timeout=late)


def _profile(loader: DataLoader[Any]) -> None:
    InfluenceProfile.over(DistributionalInfluence(NET, "1", distribution=Point()), loader)


def _training(loader: DataLoader[Any]) -> None:
    loss = nn.CrossEntropyLoss()
    LayerInfluence(NET, loader, loss_fn=loss, curvature="identity").self_influence()


def _curvature(loader: DataLoader[Any]) -> None:
    LayerInfluence(NET, loader, loss_fn=nn.CrossEntropyLoss()).fit()


def _images(loader: DataLoader[Any]) -> None:
    list(images_of(loader, torch.device("cpu")))


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a word of POSIX")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:tqdm.disabling monitor")  # which swallows what torch says
@pytest.mark.parametrize("read", [_profile, _training, _curvature, _images])
def test_a_dead_worker_is_told_in_words_and_the_cure_shows_why(read: Any) -> None:
    with pytest.raises(RuntimeError, match=r"1 workers to live .*one that died.*num_workers=0"):
        read(_loader("killed"))
    with pytest.raises(KeyError, match="what went wrong"):
        read(_loader("killed", 0))


def test_a_late_worker_is_told_in_words() -> None:
    with pytest.raises(RuntimeError, match=r"workers in time, got none .*a longer timeout"):
        _images(_loader("late"))


def test_what_a_worker_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="Caught KeyError in DataLoader worker process 0"):
        _images(_loader("raising"))


@pytest.mark.parametrize("error", [RuntimeError("of the network"), ConnectionError("of yours")])
def test_other_errors_are_raised_as_they_are(error: Exception) -> None:
    loader = DataLoader([torch.ones(1)])  # without workers
    with pytest.raises(type(error)) as raised, workers_watched(loader):
        raise error
    assert raised.value is error

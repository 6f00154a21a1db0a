"""The streaming pass holds one batch, however many training examples there are."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from captum_influence import LayerInfluence

WIDTH = 24


class _Drawn(Dataset):
    """Examples made when they are asked for; counts the numbers in all living tensors."""

    def __init__(self, length: int) -> None:
        self.length, self.largest = length, 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index in (self.length // 2, self.length - 1):
            self.largest = max(self.largest, _held())
        generator = torch.Generator().manual_seed(index)
        return torch.randn(WIDTH, generator=generator), index % 3


def _held() -> int:
    storages = {}
    for found in gc.get_objects():
        if type(found) in (Tensor, nn.Parameter):
            storage = found.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _influence(length: int, curvature: str) -> tuple[LayerInfluence, _Drawn]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, 3))
    data = _Drawn(length)
    loss = nn.CrossEntropyLoss()
    return LayerInfluence(model, data, loss_fn=loss, batch_size=8, curvature=curvature), data


def _largest(length: int, curvature: str) -> int:
    influence, data = _influence(length, curvature)
    queries = torch.randn(4, WIDTH), torch.tensor([0, 1, 2, 0])
    gc.collect()
    before = _held()
    influence.influence(queries, k=5)
    influence.layer_influence(queries, k=5)
    return data.largest - before


@pytest.mark.parametrize("curvature", ["ekfac", "identity"])
def test_held_tensors_do_not_grow_with_the_training_data(curvature: str) -> None:
    few, many = _largest(32, curvature), _largest(320, curvature)
    assert few > 0
    assert many <= few + 2048  # ten times the data would be ten times 32 * 24 * 4 bytes = 3072


def _largest_of_index(length: int, folder: Path) -> int:
    influence, data = _influence(length, "ekfac")
    influence.fit()
    gc.collect()
    before, data.largest = _held(), 0
    influence.index(folder)
    return data.largest - before


def test_building_an_index_holds_sixteen_batches_of_entries(tmp_path: Path) -> None:
    few, many = (_largest_of_index(n, tmp_path / str(n)) for n in (128, 1280))
    entries = 16 * 8 * (17 * 25 + 3 * 17) * 2  # batches, examples, numbers, bytes
    assert few > entries / 2
    assert many <= few + 2048
    assert many <= 1.5 * entries

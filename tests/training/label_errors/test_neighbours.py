"""Nearest neighbours against scikit-learn's."""

import numpy as np
import pytest
import torch

from captum_influence.training.label_errors import neighbours
from captum_influence.training.label_errors.neighbours import nearest_neighbours


@pytest.mark.parametrize("rows", [1024, 7])
def test_they_are_scikit_learns(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    learn = pytest.importorskip("sklearn.neighbors")
    monkeypatch.setattr(neighbours, "_ROWS", rows)
    features = torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = learn.NearestNeighbors(n_neighbors=6).fit(features.numpy()).kneighbors()[1]
    assert np.array_equal(nearest_neighbours(features, 6).numpy(), wanted)


@pytest.mark.parametrize("count", [0, 5, 9])
def test_there_must_be_as_many_others(count: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 4, .* got {count}"):
        nearest_neighbours(torch.randn(5, 2), count)


def test_equal_examples_are_each_others_neighbours() -> None:
    features = torch.tensor([[0.0], [0.0], [9.0]])
    assert nearest_neighbours(features, 1)[:2].flatten().tolist() == [1, 0]

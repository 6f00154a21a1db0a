"""Retraining moves what it should, leaves the rest, and measures what that changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence.training import (
    Retraining,
    measure,
    retrain_and_measure,
)

N, PLANTED = 60, range(16)


def test_retraining_moves_only_the_chosen_layers_and_leaves_the_model(problem) -> None:
    model, data, _, _ = problem
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    found = Retraining(epochs=2)(model, data, nn.CrossEntropyLoss(), ["4"])
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    moved = {k for k, v in found.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"4.weight", "4.bias"}


def test_the_default_recipe_equals_plain_torch(problem, make_problem) -> None:
    model, data, _, _ = problem
    recipe = Retraining(epochs=3, batch_size=N, momentum=0.5, learning_rate=0.1)
    found = recipe(model, data, nn.CrossEntropyLoss())
    copy = make_problem()[0].eval()
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.1, momentum=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(copy(data.tensors[0]), data.tensors[1]).backward()
        optimizer.step()
    for a, b in zip(found.parameters(), copy.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_removing_planted_images_helps_and_repairing_counts(problem) -> None:
    model, data, _, marked = problem
    truth = torch.zeros(12, dtype=torch.long)
    recipe = Retraining(epochs=30, learning_rate=0.05)
    options = {"loss_fn": nn.CrossEntropyLoss(), "retraining": recipe}
    groups = {"marked": (marked, truth)}
    removed = retrain_and_measure(model, data, groups, without=list(PLANTED), **options)
    assert removed.layers == ("0", "4")
    assert removed.effect("marked") > 0
    assert removed.before["marked"].accuracy is not None
    repairs = {i: (data[i][0].where(data[i][0] < 1, 0.15), data[i][1]) for i in PLANTED}
    repaired = retrain_and_measure(model, data, groups, repaired=repairs, **options)
    assert repaired.repaired == len(PLANTED)
    assert repaired.changed != repaired.control
    assert repaired.to_dict()["control"] == removed.to_dict()["control"]


def test_measure_takes_loaders_and_targets_that_are_no_classes() -> None:
    model = nn.Linear(3, 1)
    x, y = torch.randn(10, 3), torch.randn(10, 1)
    found = measure(model, {"a": DataLoader(TensorDataset(x, y), 4)}, nn.MSELoss())["a"]
    assert found.accuracy is None
    assert found.loss == pytest.approx(float((model(x) - y).square().mean().detach()), rel=1e-5)


def test_errors_of_retraining(problem) -> None:
    model, data, test, _ = problem
    groups = {"test": (test, torch.zeros(12, dtype=torch.long))}
    options = {"loss_fn": nn.CrossEntropyLoss()}
    for change in ({}, {"without": [N]}, {"repaired": {-1: data[0]}}, {"without": range(N)}):
        with pytest.raises(ValueError, match="expected some, not all, indices"):
            retrain_and_measure(model, data, groups, **change, **options)
    with pytest.raises(ValueError, match="Dataset with a length"):
        retrain_and_measure(model, DataLoader(data), groups, without=[0], **options)
    with pytest.raises(ValueError, match="above zero"):
        Retraining(epochs=0)
    with pytest.raises(RuntimeError, match="diverged"):
        Retraining(learning_rate=1e30)(model, data, nn.CrossEntropyLoss())

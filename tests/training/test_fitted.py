"""The curvature belongs to its weights: kept, read back, refused and estimated anew."""

from __future__ import annotations

from pathlib import Path

import influenced
import pytest
import torch

from captum_influence import LayerInfluence

N, Q = influenced.N, influenced.Q


@pytest.fixture
def checkpoints(tmp_path: Path) -> list[str]:
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        path = str(tmp_path / f"{seed}.pt")
        torch.save(influenced.Net().double().state_dict(), path)
        paths.append(path)
    return paths


def test_the_model_is_left_as_found(checkpoints: list[str]) -> None:
    model, data, queries = influenced.problem()
    model.train()
    model.head.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    influence = LayerInfluence(
        model,
        data,
        checkpoints,
        influenced.load,
        loss_fn=influenced.LOSSES[1],
        fisher="sampled",
        batch_size=8,
    )
    influence.influence(queries)
    assert influence.layers == ["conv", "hidden"]
    assert model.training
    assert not model.head.weight.requires_grad
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_that_change_after_the_fit_are_noticed() -> None:
    model, data, queries = influenced.problem()
    influence = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1]).fit()
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    wanted = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1]).influence(queries)
    assert torch.equal(influence.influence(queries), wanted)


def test_saved_curvature_gives_the_same_scores(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    first = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1])
    first.save(tmp_path / "factors.pt")
    second = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1]).load(tmp_path / "factors.pt")
    assert second.fitted
    assert torch.equal(second.influence(queries), first.influence(queries))
    other = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1], layers=["head"])
    with pytest.raises(ValueError, match=r"factors\.pt.*layers"):
        other.load(tmp_path / "factors.pt")
    model.head.weight.data += 1
    with pytest.raises(ValueError, match="weights"):
        LayerInfluence(model, data, loss_fn=influenced.LOSSES[1]).load(tmp_path / "factors.pt")

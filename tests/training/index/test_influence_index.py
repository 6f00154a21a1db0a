"""An index against the exact scores: with all coordinates, and with the steepest of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import influenced
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import LayerInfluence
from captum_influence.training import log_odds_loss


class Several(nn.Module):
    """An embedding, grouped and plain convolutions, normalisations, a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.grouped = nn.Conv1d(8, 6, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm1d(6)
        self.twice = nn.Linear(6, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.norm(self.grouped(self.embed(x).mT))).mT
        return self.head(torch.tanh(self.twice(torch.tanh(self.twice(h)))).mean(1))


def _several() -> tuple[nn.Module, TensorDataset, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(0)
    model = Several().double()
    data = TensorDataset(torch.randint(0, 7, (20, 5)), torch.randint(0, 4, (20,)))
    return model, data, (torch.randint(0, 7, (3, 5)), torch.randint(0, 4, (3,)))


WHOLE = {"dimension": None, "dtype": torch.float64}
CASES = [
    (influenced.problem, {}),
    (influenced.problem, {"curvature": "ggn", "damping": 0.3}),
    (influenced.problem, {"curvature": "identity"}),
    (influenced.problem, {"test_loss_fn": log_odds_loss, "fisher": "sampled"}),
    (_several, {}),
]


@pytest.mark.parametrize(("problem", "options"), CASES)
def test_with_all_coordinates_it_is_exact(problem: Any, options: Any, tmp_path: Path) -> None:
    model, data, queries = problem()
    influence = LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), batch_size=7, **options)
    index = influence.index(tmp_path, **WHOLE)
    tight = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(index.scores(queries), influence.influence(queries), **tight)
    for name, wanted in influence.layer_influence(queries).items():
        torch.testing.assert_close(index.scores(queries, layer=name), wanted, **tight)
    for proponents in (True, False):
        best, exact = (
            index.top(queries, 4, proponents=proponents),
            influence.influence(queries, 4, proponents),
        )
        assert torch.equal(best.indices, exact.indices)
    assert index.examples == len(data)


def test_checkpoints_are_averaged(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    others = [influenced.Net().double() for _ in range(2)]
    influence = LayerInfluence(model, data, checkpoint=others, loss_fn=nn.CrossEntropyLoss())
    index = influence.index(tmp_path, **WHOLE)
    torch.testing.assert_close(index.scores(queries), influence.influence(queries))


def test_a_shuffling_loader_is_indexed_by_its_data_set(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    loss = nn.CrossEntropyLoss()
    loader = DataLoader(data, 4, shuffle=True)
    index = LayerInfluence(model, loader, loss_fn=loss).index(tmp_path, **WHOLE)
    wanted = LayerInfluence(model, data, loss_fn=loss).influence(queries)
    torch.testing.assert_close(index.scores(queries), wanted)


def test_half_precision_loses_its_last_bits_only(tmp_path: Path) -> None:
    """Also where gradients are smaller than a half can hold."""
    model, data, queries = influenced.problem()
    influence = LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), damping=1e10)
    wanted = influence.influence(queries)
    found = influence.index(tmp_path, dimension=None).scores(queries)
    assert float((found - wanted).norm() / wanted.norm()) < 2e-3


def test_fewer_coordinates_come_closer_the_more_they_are(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    influence = LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss())
    wanted, errors = influence.influence(queries), []
    for dimension in (2, 8, 24, 60):
        index = influence.index(tmp_path / str(dimension), dimension=dimension)
        assert max(index.sizes.values()) == dimension
        errors.append(float((index.scores(queries) - wanted).norm() / wanted.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


def test_candidates_are_scored_again_exactly(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    influence = LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), batch_size=4)
    index = influence.index(tmp_path, dimension=2)
    wanted = influence.influence(queries, 3)
    found = index.top(queries, 3, rerank=influenced.N)
    assert torch.equal(found.indices, wanted.indices)
    torch.testing.assert_close(found.influence_scores, wanted.influence_scores)
    some = index.top(queries, 3, rerank=6)
    exact = influence.influence(queries)
    torch.testing.assert_close(some.influence_scores, exact.gather(1, some.indices))


def test_it_opens_without_a_pass(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    counted = influenced.Failing(data)
    options = {"loss_fn": nn.CrossEntropyLoss(), "batch_size": 4}
    first = LayerInfluence(model, counted, **options).index(tmp_path)
    counted.reads, counted.fails_at = 0, 2 * influenced.SAMPLED
    again = LayerInfluence(model, counted, **options).index(tmp_path)
    assert torch.equal(again.scores(queries), first.scores(queries))


def test_another_network_is_refused(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    loss = nn.CrossEntropyLoss()
    index = LayerInfluence(model, data, loss_fn=loss).index(tmp_path)
    other = influenced.Net().double()
    with pytest.raises(ValueError, match="another question: weights"):
        LayerInfluence(other, data, loss_fn=loss).index(tmp_path)
    with pytest.raises(ValueError, match="another question: dimension"):
        LayerInfluence(model, data, loss_fn=loss).index(tmp_path, dimension=3)
    with torch.no_grad():
        model.head.weight += 1
    with pytest.raises(ValueError, match="weights have changed"):
        index.scores(queries)


def test_what_it_cannot_keep_is_refused(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()

    def ask(curvature: str, **options: Any) -> Any:
        influence = LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), curvature=curvature)
        return influence.index(tmp_path / f"{curvature}{options}", **options)

    with pytest.raises(ValueError, match="one block per layer"):
        ask("ggn_joint")
    with pytest.raises(ValueError, match="dimension=None with 'identity'"):
        ask("identity", dimension=4)
    with pytest.raises(ValueError, match="dimension to be None or at least 1, got 0"):
        ask("ekfac", dimension=0)
    with pytest.raises(ValueError, match=r"dtype to be torch\.float16"):
        ask("ekfac", dtype=torch.int8)
    index = ask("ekfac")
    with pytest.raises(ValueError, match="layer to be None or one of"):
        index.scores(queries, layer="nothing")
    with pytest.raises(ValueError, match="rerank to be None or at least k = 5, got 2"):
        index.top(queries, 5, rerank=2)

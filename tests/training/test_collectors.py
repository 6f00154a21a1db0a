"""What is kept of the scores: all of them, or the best k, also of a run that was killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import influenced
import pytest
import torch
from torch import Tensor

from captum_influence import LayerInfluence
from captum_influence.data.sharding import Shard
from captum_influence.training.collectors import (
    AllScores,
    KMostInfluentialResults,
    Reader,
    Sink,
    TopScores,
)
from captum_influence.training.scoring import RawScores

N = influenced.N


@pytest.mark.parametrize("proponents", [True, False])
@pytest.mark.parametrize("k", [1, 4, 100])
def test_most_influential_are_the_sorted_scores(k: int, proponents: bool) -> None:
    model, data, queries = influenced.problem()
    influence = LayerInfluence(
        model, data, loss_fn=influenced.LOSSES[1], batch_size=7, normalize="self"
    )
    found = influence.layer_influence(queries, k=k, proponents=proponents)
    for name, scores in influence.layer_influence(queries).items():
        wanted = scores.sort(1, descending=proponents)
        assert isinstance(found[name], KMostInfluentialResults)
        assert torch.equal(found[name].indices, wanted.indices[:, :k])
        torch.testing.assert_close(found[name].influence_scores, wanted.values[:, :k])


@pytest.mark.parametrize("k", [None, 3])
def test_a_killed_run_goes_on_where_it_was_written(k: int | None, tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    options = {"loss_fn": influenced.LOSSES[1], "batch_size": 1}  # written after every 16 batches
    wanted = LayerInfluence(model, data, **options).influence(queries, k=k)
    failing = influenced.Failing(data)
    influence = LayerInfluence(model, failing, **options).fit()
    failing.reads, failing.fails_at = 0, 19 + influenced.SAMPLED
    with pytest.raises(OSError, match="disk"):
        influence.influence(queries, k=k, resume=tmp_path / "scores")
    failing.fails_at = None
    for reads in (N - 16, 0):  # a finished file answers without reading
        failing.reads = 0
        found = influence.influence(queries, k=k, resume=tmp_path / "scores")
        assert failing.reads == reads + influenced.SAMPLED
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="another question: queries"):
        influence.influence((queries[0][:2], queries[1][:2]), k=k, resume=tmp_path / "scores")
    for other in ({"k": 7}, {"k": k, "proponents": False} if k else {"k": 1}):
        with pytest.raises(ValueError, match="another question: kept"):
            influence.influence(queries, resume=tmp_path / "scores", **other)


class Pair(Shard):
    """Two processes, of which this one saw the first batch and the other the second."""

    other: Mapping[str, Tensor] = {}

    def gather(self, value: Any) -> list[Any]:
        return [value, self.other]


@pytest.mark.parametrize("make", [AllScores, lambda: TopScores(3, proponents=True)])
def test_processes_put_together_what_each_has_kept(make: Any) -> None:
    scores = torch.randn(2, 7)
    mine, others, whole = make(), make(), make()
    mine.add(torch.arange(4), scores[:, :4])
    others.add(torch.arange(4, 7), scores[:, 4:])
    whole.add(torch.arange(7), scores)
    Pair.other = others.state
    found, wanted = mine.result(Pair(0, 2)), whole.result(Shard())
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("make", [AllScores, lambda: TopScores(3, proponents=True)])
def test_scores_are_kept_by_their_places(make: Any) -> None:
    scores, order = torch.randn(2, 7), torch.tensor([3, 1, 6, 0, 5, 2, 4])
    mixed, whole = make(), make()
    for part in order.split(3):
        mixed.add(part, scores[:, part])
    whole.add(torch.arange(7), scores)
    for a, b in zip(mixed.result(Shard()), whole.result(Shard()), strict=True):
        assert torch.equal(a, b)


def test_readers_read_one_layer_or_all() -> None:
    scores = RawScores(
        {"a": torch.ones(1, 2), "b": torch.full((1, 2), 2.0)},
        {"a": torch.tensor([4.0, 1.0]), "b": torch.tensor([5.0, 3.0])},
    )
    assert Reader.raw(None)(scores).tolist() == [[3.0, 3.0]]
    assert Reader.raw("b")(scores).tolist() == [[2.0, 2.0]]
    assert Reader.normalized("a")(scores).tolist() == [[0.5, 1.0]]
    assert Reader.normalized(None)(scores).tolist() == [[1.0, 1.5]]
    assert Reader.own(None)(scores).tolist() == [9.0, 4.0]
    sinks = [Sink(AllScores(), read) for read in (Reader.raw("a"), Reader.own("a"))]
    assert [sink.needs_self for sink in sinks] == [False, True]


@pytest.mark.parametrize("k", [0, -1, 2.0, True, "3"])
def test_k_is_a_positive_number(k: Any) -> None:
    with pytest.raises(ValueError, match="k to be a positive int or None"):
        TopScores(k, proponents=True)

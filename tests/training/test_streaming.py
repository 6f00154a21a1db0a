"""The stream of scores: of some examples, in any batches, what all examples' scores say of them."""

from __future__ import annotations

from dataclasses import replace

import influenced
import torch
from torch import nn

from captum_influence import LayerInfluence
from captum_influence.training.collectors import AllScores, Reader, Sink


def test_some_examples_have_the_scores_that_they_have_among_all() -> None:
    model, data, queries = influenced.problem()
    influence = LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss())
    stream = influence._stream
    some = replace(stream.train, order=[[3, 7], [11], [20, 29]])
    [found] = stream.run(some, [Sink(AllScores(), Reader.raw(None))], queries)
    torch.testing.assert_close(found, influence.influence(queries)[:, [3, 7, 11, 20, 29]])


def test_scores_are_divided_by_examples_and_checkpoints() -> None:
    model, data, _ = influenced.problem()
    others = [influenced.Net().double() for _ in range(3)]
    stream = LayerInfluence(model, data, checkpoint=others, loss_fn=nn.CrossEntropyLoss())._stream
    assert stream.scale(stream.fit.weights[0]) == 1 / (influenced.N * 3)
    stream = LayerInfluence(
        model, data, checkpoint=others, loss_fn=nn.CrossEntropyLoss(), curvature="identity"
    )._stream
    assert stream.scale(stream.fit.weights[0]) == 1.0

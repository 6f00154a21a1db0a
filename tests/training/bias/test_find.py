"""A report lists what the scores say, and finds what was planted."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from captum_influence import LayerInfluence
from captum_influence.training import (
    GradientShapley,
    bias_report,
    log_odds_loss,
)
from captum_influence.training.bias.result import ALL_LAYERS

N, PLANTED = 60, range(16)


def _influence(model: nn.Module, data: TensorDataset, **options: object) -> LayerInfluence:
    return LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), **options)


def test_report_lists_what_the_scores_say(problem) -> None:
    model, data, test, marked = problem
    influence = _influence(model, data)
    answers = torch.zeros(12, dtype=torch.long)
    groups = {"original": (test, answers), "background": (marked, answers)}
    report = bias_report(influence, groups, top=3, predicted=False)
    layers = influence.layer_influence((marked, answers)) | {
        ALL_LAYERS: influence.influence((marked, answers))
    }
    group = report.groups[1]
    for layer, scores in layers.items():
        best = scores.mean(0).sort(descending=True)
        assert group.helpful[layer].indices == tuple(best.indices[:3].tolist())
        assert group.harmful[layer].indices == tuple(best.indices.flip(0)[:3].tolist())
        assert group.strength[layer] == pytest.approx(float(scores.abs().sum(1).mean()))
    assert sum(group.layer_share.values()) == pytest.approx(1)
    assert all(sum(s.values()) == pytest.approx(1) for s in report.group_share.values())
    loss = nn.functional.cross_entropy(model(marked), answers).detach()
    assert group.loss == pytest.approx(float(loss), rel=1e-5)
    listed = {i for g in report.groups for r in g.helpful.values() for i in r.indices}
    assert listed <= set(report.images)
    assert report.most_influential.keys() == layers.keys()


def test_normalised_proponents_of_disturbed_answers_are_the_planted_images(problem) -> None:
    model, data, test, marked = problem
    influence = _influence(model, data, normalize="self", test_loss_fn=log_odds_loss)
    changed = model(marked).argmax(1) != model(test).argmax(1)
    assert changed.any()
    groups = {"original": (test[changed], None), "marked": (marked[changed], None)}
    report = bias_report(influence, groups, top=5)
    found = report.groups[1].helpful[ALL_LAYERS].indices
    assert sum(i in PLANTED for i in found) >= 4
    assert report.normalized


def test_other_data_has_no_pictures() -> None:
    model = nn.Linear(3, 2)
    data = TensorDataset(torch.randn(8, 3), torch.randint(0, 2, (8,)))
    groups = {"a": (torch.randn(4, 3), None), "b": (torch.randn(5, 3), None)}
    report = bias_report(_influence(model, data), groups, top=2)
    assert all(image.picture is None for image in report.images.values())
    assert not report.differences[0].paired
    with pytest.raises(ValueError, match="expected images"):
        bias_report(_influence(model, data), groups, shapley=GradientShapley())
    with pytest.raises(ValueError, match="at least one group"):
        bias_report(_influence(model, data), {})

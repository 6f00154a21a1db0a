"""The bias study: bookkeeping, Shapley values, differences, retraining, the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import LayerInfluence
from captum_influence.training import (
    GradientShapley,
    Retraining,
    SampledShapley,
    bias_report,
    log_odds_loss,
    measure,
    retrain_and_measure,
)
from captum_influence.training.bias.differences import difference
from captum_influence.training.bias.find import ALL_LAYERS

N, PLANTED = 60, range(16)


def _problem() -> tuple[nn.Sequential, TensorDataset, Tensor, Tensor]:
    """Two classes by brightness of the left half; a bright corner is planted in class 1."""
    generator = torch.Generator().manual_seed(0)
    x = 0.3 * torch.rand(N, 1, 6, 6, generator=generator)
    y = (torch.arange(N) % 2).long()
    y[list(PLANTED)] = 1
    x[y == 1, :, :, :3] += 0.15
    x[list(PLANTED), :, :2, 4:] = 1.0
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
    model.eval()
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    model.zero_grad()
    test = 0.3 * torch.rand(12, 1, 6, 6, generator=generator)
    marked = test.clone()
    marked[:, :, :2, 4:] = 1.0
    return model, TensorDataset(x, y), test, marked


@pytest.fixture(scope="module")
def problem() -> tuple[nn.Sequential, TensorDataset, Tensor, Tensor]:
    return _problem()


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


def test_log_odds_loss_is_the_negative_logit_of_the_probability() -> None:
    output, target = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2])
    p = output.softmax(1)[torch.arange(5), target]
    torch.testing.assert_close(log_odds_loss(output, target), -torch.log(p / (1 - p)))


def test_page_and_dictionary(problem, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    model, data, test, marked = problem
    groups = {"original <b>": (test, None), "background": (marked, None)}
    result = retrain_and_measure(
        model, data, {"test": (test, torch.zeros(12, dtype=torch.long))},
        loss_fn=nn.CrossEntropyLoss(), without=[0, 1], layers=["4"],
    )  # fmt: skip
    report = bias_report(
        _influence(model, data), groups, top=2, shapley=GradientShapley(4), retrainings=[result]
    )
    page = report.to_html(tmp_path / "bias.html").read_text()
    assert "data:image/png;base64," in page
    assert "original &lt;b&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert "Measured: 4 retrained" in page
    plain = json.loads(json.dumps(report.to_dict()))
    assert [g["name"] for g in plain["groups"]] == list(groups)
    assert plain["retrainings"][0]["removed"] == 2


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


@pytest.mark.parametrize("shapley", [GradientShapley(samples=200, noise=0.0), SampledShapley(2, 3)])
def test_shapley_values_of_a_linear_game_are_exact_and_seeded(shapley) -> None:
    """A linear score's values are weight × pixel; random states and modes are put back."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16, 2)).train()
    images, targets = torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 1])
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    found = shapley.maps(model, images, targets)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
    assert model.training
    wanted = model[2].weight[targets].detach().reshape(3, 4, 4) * images[:, 0]
    if isinstance(shapley, SampledShapley):
        wanted, found = (nn.functional.avg_pool2d(t[:, None], 2) for t in (wanted, found))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(shapley.maps(model, images, targets), shapley.maps(model, images, targets))


def test_intervals_cover_and_tests_keep_their_level() -> None:
    """In 200 repetitions without a difference, about 5 % are called one."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(200):
        a, b = (torch.randn(25, generator=generator) for _ in range(2))
        found.append(difference("g", "q", a, b, 0.95, 0))
    assert 0.88 <= sum(d.low <= 0 <= d.high for d in found) / 200 <= 0.99
    assert 0.01 <= sum(d.p_value < 0.05 for d in found) / 200 <= 0.1
    one = difference("g", "q", torch.randn(30, generator=generator), torch.full((20,), 3.0), 0.9, 0)
    assert not one.paired
    assert one.low > 2
    assert one.p_value < 0.01


def test_retraining_moves_only_the_chosen_layers_and_leaves_the_model(problem) -> None:
    model, data, _, _ = problem
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    found = Retraining(epochs=2)(model, data, nn.CrossEntropyLoss(), ["4"])
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    moved = {k for k, v in found.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"4.weight", "4.bias"}


def test_the_default_recipe_equals_plain_torch(problem) -> None:
    model, data, _, _ = problem
    recipe = Retraining(epochs=3, batch_size=N, momentum=0.5, learning_rate=0.1)
    found = recipe(model, data, nn.CrossEntropyLoss())
    copy = _problem()[0].eval()
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

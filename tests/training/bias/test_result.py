"""A bias report says what it holds, and comes back from its files as it was."""

from pathlib import Path

import pytest
import torch
from torch import nn

from captum_influence import LayerInfluence
from captum_influence.training import (
    BiasReport,
    GradientShapley,
    bias_report,
    retrain_and_measure,
)
from captum_influence.training.bias.result import ALL_LAYERS

pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def report(problem) -> BiasReport:
    model, data, test, marked = problem
    influence = LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss())
    groups = {"original": (test, None), "marked": (marked, None)}
    answers = torch.zeros(12, dtype=torch.long)
    result = retrain_and_measure(
        model, data, {"test": (test, answers)}, loss_fn=nn.CrossEntropyLoss(), without=[0]
    )
    return bias_report(
        influence,
        groups,
        top=2,
        shapley=GradientShapley(4),
        retrainings=[result],
        notes=["A note."],
        class_names=["dark", "bright"],
    )


def test_the_headline_says_what_kind_of_images_the_answers_rest_on(report: BiasReport) -> None:
    best = report.mean_scores("marked").topk(2).indices.tolist()
    targets = [report.images[index].target for index in best]
    count = max(targets.count(target) for target in targets)
    kind = next(target for target in targets if targets.count(target) == count)
    assert report.headline.startswith(
        f"The answers to marked rest most on training images of {kind}: {count} of the 2 that help "
        "them most. "
    )


def test_the_most_influential_image_has_the_largest_score(report: BiasReport) -> None:
    means = torch.stack([report.mean_scores(group.name) for group in report.groups])
    index = int(means.abs().argmax()) % means.shape[1]
    assert report.images[index].target in ("dark", "bright")
    assert report.most_influential[ALL_LAYERS] == index


def test_the_call_names_what_is_yours(report: BiasReport) -> None:
    assert report.asked.imports == (
        "from captum_influence import bias_report",
        "from captum_influence.training import GradientShapley",
    )
    assert report.call.startswith("bias_report(\n    influence, groups,\n    top=2,\n")
    assert "retrainings=retrainings," in report.call
    assert set(report.asked.names) == {"influence", "groups", "retrainings"}
    assert report.settings["class_names"] == ["dark", "bright"]


def test_it_comes_back_from_its_files(report: BiasReport, tmp_path: Path) -> None:
    binary, text = report.save(tmp_path / "study")
    assert (binary.name, text.name) == ("bias_report.safetensors", "bias_report.json")
    found = BiasReport.load(tmp_path / "study")
    assert found.to_dict() == report.to_dict()
    assert torch.equal(found.mean_scores("marked", "4"), report.mean_scores("marked", "4"))
    for index, image in report.images.items():
        assert torch.equal(found.images[index].picture, image.picture)
        assert torch.equal(found.images[index].shapley, image.shapley)
    assert torch.equal(found.groups[0].pictures[0], report.groups[0].pictures[0])


def test_the_table_lists_every_image_of_both_sides(report: BiasReport) -> None:
    pytest.importorskip("pandas")
    table = report.to_frame()
    assert len(table) == 2 * 2 * 3 * 2  # groups, sides, layers and all of them, images
    chosen = table[(table.group == "marked") & (table.layer == "4") & (table.side == "harmful")]
    worst = report.mean_scores("marked", "4").topk(2, largest=False)
    assert chosen.image.tolist() == worst.indices.tolist()
    assert chosen.score.tolist() == pytest.approx(worst.values.tolist())


def test_the_figure_draws_every_layer_s_share(report: BiasReport) -> None:
    axes = report.plot().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["original: 0", "original: 4", "marked: 0", "marked: 4"]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths[0] + widths[1] == pytest.approx(1)

"""Scores that are kept: what they say, and what comes back from their files."""

from pathlib import Path

import influenced
import numpy as np
import pytest
import torch

from captum_influence import LayerInfluence
from captum_influence.data.files import write_tensors
from captum_influence.training import LayerScores

pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def scores() -> LayerScores:
    model, data, queries = influenced.problem()
    return LayerInfluence(model, data, loss_fn=influenced.LOSSES[1]).scores(queries)


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("kept", {"kept/layer_scores.safetensors", "kept/layer_scores.json"}),
        ("kept/scores.npz", {"kept/scores.npz", "kept/scores.npz.json"}),
        ("kept/a.safetensors", {"kept/a.safetensors", "kept/a.json"}),
    ],
)
def test_scores_come_back_as_they_were(
    scores: LayerScores, tmp_path: Path, path: str, files: set[str]
) -> None:
    written = scores.save(tmp_path / path)
    assert {str(file.relative_to(tmp_path)) for file in written} == files
    found = LayerScores.load(tmp_path / path)
    assert found.layers == ("conv", "hidden", "head")
    for name in scores.layers:
        assert torch.equal(found.scores[name], scores.scores[name])
        assert torch.equal(found.self_of(name), scores.self_of(name))
    assert found.to_dict() == scores.to_dict()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, header=np.array([object()], dtype=object))  # a pickle, never opened
    with pytest.raises(ValueError, match=r"expected a saved layer_scores .* something else"):
        LayerScores.load(path)
    write_tensors(path, "profile", {}, {"a": torch.ones(2)})
    with pytest.raises(ValueError, match=r"got captum_influence\.profile"):
        LayerScores.load(path)
    with pytest.raises(FileNotFoundError, match=r"there is no absent\.npz"):
        LayerScores.load(tmp_path / "absent.npz")


def test_the_headline_names_the_extremes(scores: LayerScores) -> None:
    means = sum(scores.scores.values()).mean(0)
    strengths = {name: float(s.abs().sum()) for name, s in scores.scores.items()}
    largest = max(strengths, key=strengths.__getitem__)
    assert scores.headline.startswith(
        f"Of 30 training examples, number {int(means.argmax())} helps the answers to 5 test "
        "examples most"
    )
    assert f"number {int(means.argmin())} harms them most" in scores.headline
    assert f"layer {largest} has the largest share of all influence" in scores.headline
    total = sum(strengths.values())
    assert scores.shares == pytest.approx({n: s / total for n, s in strengths.items()})


def test_the_call_asks_the_object(scores: LayerScores) -> None:
    assert scores.call == "layer_influence.scores(inputs)"
    assert scores.asked.names == ("layer_influence", "inputs")
    assert scores.asked.imports == ()


def test_the_table_has_every_layer_and_example(scores: LayerScores) -> None:
    pytest.importorskip("pandas")
    table = scores.to_frame()
    assert list(table.columns) == ["layer", "example", "score", "self_influence"]
    head = table[table.layer == "head"]
    assert head.example.tolist() == list(range(30))
    assert head.score.tolist() == pytest.approx(scores.scores["head"].mean(0).tolist())


def test_the_figure_draws_both_ends(scores: LayerScores) -> None:
    means = sum(scores.scores.values()).mean(0).sort(descending=True)
    axes = scores.plot().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"number {i}" for i in [*means.indices[:5], *means.indices[-5:]]]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([*means.values[:5].tolist(), *means.values[-5:].tolist()])

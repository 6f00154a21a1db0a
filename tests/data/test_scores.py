"""Scores on disk: what comes back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from captum_influence.data.arrays import read_arrays, write_arrays
from captum_influence.training import LayerScores


def _scores() -> LayerScores:
    return LayerScores(
        {"conv/1": torch.randn(2, 5, dtype=torch.float64), "": torch.randn(2, 5)},
        {"conv/1": torch.rand(5, dtype=torch.float64), "": torch.rand(5)},
    )


def test_scores_come_back_as_they_were(tmp_path: Path) -> None:
    scores = _scores()
    found = LayerScores.load(scores.save(tmp_path / "deep" / "scores.npz"))
    assert found.layers == ("conv/1", "")
    for name in scores.layers:
        torch.testing.assert_close(found.scores[name], scores.scores[name], rtol=0, atol=0)
        torch.testing.assert_close(found.self_of(name), scores.self_of(name), rtol=0, atol=0)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["scores.npz"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = _scores().save(tmp_path / "scores.npz")
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        write_arrays(path, "kind", {}, {"a": "no tensor"})  # type: ignore[dict-item]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = _scores().save(tmp_path / "scores.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"'scores\.npz', got a file that is cut off"):
        LayerScores.load(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    path.write_text("dear diary")
    with pytest.raises(ValueError, match="something else"):
        LayerScores.load(path)
    np.savez(path, scores=np.ones(3))
    with pytest.raises(ValueError, match="something else"):
        LayerScores.load(path)
    np.savez(path, header=np.array([object()], dtype=object))  # a pickle, never opened
    with pytest.raises(ValueError, match="something else"):
        LayerScores.load(path)
    write_arrays(path, "captum_influence.BiasReport", {}, {"a": torch.ones(2)})
    with pytest.raises(ValueError, match=r"got 'captum_influence\.BiasReport'"):
        LayerScores.load(path)
    with pytest.raises(FileNotFoundError):
        LayerScores.load(tmp_path / "absent.npz")


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"format": "kind", "version": 2})
    np.savez(tmp_path / "later.npz", header=np.array(header))
    with pytest.raises(ValueError, match="update it"):
        read_arrays(tmp_path / "later.npz", "kind")


def test_rows_are_queries() -> None:
    scores = _scores()
    part = scores.rows(slice(1, 2))
    assert torch.equal(part.scores[""], scores.scores[""][1:])
    assert torch.equal(part.self_of(""), scores.self_of(""))

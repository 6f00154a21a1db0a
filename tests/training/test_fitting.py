"""The curvature is summed over the data in stages, also by a run that was killed between two."""

from pathlib import Path
from typing import Any

import influenced
import pytest
import torch

from captum_influence import LayerInfluence

N = influenced.N
OPTIONS: dict[str, Any] = {"loss_fn": influenced.LOSSES[1], "batch_size": 1}


@pytest.mark.parametrize(
    ("fails_at", "reads"),
    [(10, 2 * N), (20, 2 * N - 16), (N, N), (N + 20, N - 16)],
    ids=["before the first write", "in the first stage", "between stages", "in the second stage"],
)
def test_a_killed_fit_goes_on_where_it_was_written(
    tmp_path: Path, fails_at: int, reads: int
) -> None:
    model, data, queries = influenced.problem()
    whole = LayerInfluence(model, data, fisher="sampled", **OPTIONS)
    failing = influenced.Failing(data)
    influence = LayerInfluence(model, failing, fisher="sampled", **OPTIONS)
    failing.fails_at = fails_at
    with pytest.raises(OSError, match="disk"):
        influence.fit(resume=tmp_path / "fit")
    failing.reads, failing.fails_at = 0, None
    influence.fit(resume=tmp_path / "fit")
    assert failing.reads == reads
    assert torch.equal(influence.influence(queries), whole.influence(queries))


def test_another_curvature_s_file_is_refused(tmp_path: Path) -> None:
    model, data, _ = influenced.problem()
    LayerInfluence(model, data, **OPTIONS).fit(resume=tmp_path / "fit")
    for change in (
        {"curvature": "ggn"},
        {"fisher": "empirical"},
        {"seed": 3},
        {"layers": ["head"]},
    ):
        other = LayerInfluence(model, data, **OPTIONS, **change)
        with pytest.raises(ValueError, match=f"another question: {next(iter(change))}"):
            other.fit(resume=tmp_path / "fit")


def test_every_checkpoint_has_a_file_of_its_own(tmp_path: Path) -> None:
    model, data, queries = influenced.problem()
    checkpoints = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        checkpoints.append(str(tmp_path / f"{seed}.pt"))
        torch.save(influenced.Net().double().state_dict(), checkpoints[-1])
    influence = LayerInfluence(model, data, checkpoints, influenced.load, **OPTIONS)
    wanted = influence.influence(queries)
    again = LayerInfluence(model, data, checkpoints, influenced.load, **OPTIONS)
    again.fit(resume=tmp_path / "fit")
    assert {p.name for p in tmp_path.glob("fit*")} == {"fit", "fit.1"}
    assert torch.equal(again.influence(queries), wanted)

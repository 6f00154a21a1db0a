"""The curvature is summed over the data in stages, also by a run that was killed between two."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import influenced
import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset, TensorDataset

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
    failing.fails_at = fails_at + influenced.SAMPLED
    with pytest.raises(OSError, match="disk"):
        influence.fit(resume=tmp_path / "fit")
    failing.reads, failing.fails_at = 0, None
    influence.fit(resume=tmp_path / "fit")
    assert failing.reads == reads + influenced.SAMPLED
    assert torch.equal(influence.influence(queries), whole.influence(queries))


def _negated(net: nn.Module) -> nn.Module:
    for parameter in net.parameters():
        parameter.data.neg_()  # of the same norm
    return net


CHANGES: dict[str, dict[str, Any]] = {
    "curvature": {"curvature": "ggn"},
    "fisher": {"fisher": "empirical"},
    "seed": {"seed": 3},
    "layers": {"layers": ["head"]},
    "loss": {"loss_fn": influenced.LOSSES[0]},
    "order": {"batch_size": 2},
    "size": {"train_dataset": TensorDataset(*influenced.problem()[1][:20])},
    "data": {
        "train_dataset": TensorDataset(
            *(-t for t in influenced.problem()[1].tensors[:1]), influenced.problem()[1].tensors[1]
        )
    },
    "weights": {"model": _negated(influenced.problem()[0])},
}


@pytest.mark.parametrize("differs", CHANGES)
def test_another_question_s_file_is_refused(tmp_path: Path, differs: str) -> None:
    model, data, queries = influenced.problem()
    asked: dict[str, Any] = {"model": model, "train_dataset": data, **OPTIONS}
    LayerInfluence(**asked).fit(resume=tmp_path / "fit")
    LayerInfluence(**asked).influence(queries, resume=tmp_path / "scores")
    other = LayerInfluence(**{**asked, **CHANGES[differs]})
    with pytest.raises(ValueError, match=f"another question: {differs}"):
        other.fit(resume=tmp_path / "fit")
    with pytest.raises(ValueError, match=f"another question: {differs}"):
        other.influence(queries, resume=tmp_path / "scores")


@pytest.mark.parametrize("differs", ["damping", "test_loss", "queries"])
def test_scores_of_another_question_are_refused(tmp_path: Path, differs: str) -> None:
    model, data, (x, y) = influenced.problem()
    asked: dict[str, Any] = {"model": model, "train_dataset": data, **OPTIONS}
    LayerInfluence(**asked).influence((x, y), resume=tmp_path / "scores")
    change = {
        "damping": {"damping": 3.0},
        "test_loss": {"test_loss_fn": lambda output, target: output.sum(1)},
        "queries": {},
    }[differs]
    queries = (x, y) if change else (x.flip(0), y)  # of the same norm
    with pytest.raises(ValueError, match=f"another question: {differs}"):
        LayerInfluence(**asked, **change).influence(queries, resume=tmp_path / "scores")


def test_a_stream_is_known_by_what_was_read(tmp_path: Path) -> None:
    class Stream(IterableDataset[Any]):
        def __init__(self, order: Sequence[int], fails_at: int | None = None) -> None:
            self.order, self.fails_at = order, fails_at

        def __iter__(self) -> Iterator[Any]:
            for number, index in enumerate(self.order):
                if number == self.fails_at:
                    raise OSError("disk gone")
                yield data[index]

    model, data, queries = influenced.problem()
    options = {**OPTIONS, "hessian_dataset": data}
    whole = LayerInfluence(model, Stream(range(N)), **options).influence(queries)
    path = tmp_path / "scores"

    def ask(order: Sequence[int], fails_at: int | None = None) -> Any:
        stream = Stream(order)
        influence = LayerInfluence(model, stream, **options)
        influence.fit()
        stream.fails_at = fails_at
        influence._train = replace(influence._train, expected=N)  # counting would fail too
        return influence.influence(queries, resume=path)

    with pytest.raises(OSError, match="disk"):
        ask(range(N), 20)
    with pytest.raises(ValueError, match=r"data differ, .* other batches than the 16"):
        ask(range(N)[::-1])
    assert torch.equal(ask(range(N)), whole)
    assert torch.equal(ask(range(N)), whole)
    with pytest.raises(ValueError, match=r"data differ, .* other batches than those"):
        ask(range(N)[::-1])


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

"""``python -m benchmarks.training.peers``: an index beside what others offer for the same question.

Pictures of CIFAR-10, a tenth of them mislabelled, a small convolutional network, and the same
queries for all. CPU seconds until the first query can be asked, and of a query of all test
pictures; bytes that are kept of each example; the share of the 100 examples of highest exact
EK-FAC score that each finds among its first 100; and the linear datamodeling score, over
networks trained from scratch on halves of the pictures. Peers are kronfluence
(``pip install kronfluence``), left out where it isn't installed, and Captum's
``TracInCPFastRandProj``, whose search is replaced by an exact one.
"""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.metadata
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from captum.influence import TracInCPFastRandProj
from captum.influence._utils.nearest_neighbors import NearestNeighbors
from torch import Tensor, nn

from benchmarks.provenance import keep
from benchmarks.training.cifar import cifar, convolutional
from benchmarks.training.digits import Problem, accuracy, show, study_parser
from benchmarks.training.index import K, recall, seconds
from benchmarks.training.retraining import correlations
from benchmarks.training.settings import Setting, losses
from captum_influence import LayerInfluence

EPOCHS, BATCH, RANK = 20, 100, 32
OUT = Path("benchmarks/results/training_peers.json")

Scores = Callable[[], Tensor]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A method that is ready for queries.

    Attributes:
        first: the first 100 of each query, (queries, 100); None: from the scores.
        scores: of all examples, (queries, examples).
        kept: bytes that it keeps of all examples.
    """

    scores: Scores
    first: Scores | None = None
    kept: int = 0


def main(arguments: list[str] | None = None) -> int:
    """Ask all with the same network, print, and write JSON."""
    parser = study_parser("peers", __doc__)
    parser.set_defaults(out=OUT)
    parser.add_argument("--images", type=int, default=2000, help="to train on")
    parser.add_argument("--halves", type=int, default=40, help="networks trained on halves")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    problem = functools.partial(cifar, images=asked.images)
    setting, found = Setting(problem, convolutional, EPOCHS), {}
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        found[f"seed {seed}"] = study(setting, seed, asked.halves)
        show(f"peers / seed {seed}", found[f"seed {seed}"])
        keep(asked.out, {"peers": found, "images": asked.images, "halves": asked.halves})
    return 0


def study(setting: Setting, seed: int, halves: int) -> dict[str, Any]:
    """Return what each method costs and finds."""
    problem = setting.problem(seed)
    model = setting.trained(problem, 1000 * seed)
    generator, count = torch.Generator().manual_seed(seed), len(problem.y)
    rows = [torch.randperm(count, generator=generator)[: count // 2] for _ in range(halves)]
    members = torch.stack([torch.zeros(count).index_fill(0, r, 1.0) for r in rows])
    retrained = [setting.trained(problem, 1000 * seed + 100 + i, r) for i, r in enumerate(rows)]
    truth = -torch.stack([losses(one, problem) for one in retrained], 1)
    found: dict[str, Any] = {
        "test accuracy": accuracy(model, problem.test_x, problem.test_y),
        "parameters": sum(p.numel() for p in model.parameters()),
        "queries": len(problem.test_y),
    }
    exact = None
    for name, prepare in methods(model, problem):
        prepared, build = seconds(prepare)
        prepared.scores()  # what is read and checked once
        scores, query = seconds(prepared.scores)
        exact = scores if exact is None else exact
        first = scores.topk(K, 1).indices
        if prepared.first is not None:
            first, query = seconds(prepared.first)
        found[name] = {
            "build cpu seconds": build,
            "query cpu seconds": query,
            "bytes per example": prepared.kept / count,
            "recall": recall(first, exact),
            "lds": float(correlations(scores @ members.mT, truth).mean()),
        }
    return found


def methods(model: nn.Module, problem: Problem) -> Iterator[tuple[str, Callable[[], Prepared]]]:
    """Name the methods, the exact one first, and what prepares each for queries."""
    yield "exact EK-FAC", functools.partial(ours, model, problem, "exact")
    yield "exact EK-FAC, sampled Fisher", functools.partial(ours, model, problem, "sampled")
    yield "index", functools.partial(indexed, model, problem)
    yield f"index, rerank={2 * K}", functools.partial(indexed, model, problem, rerank=2 * K)
    try:
        kronfluence = importlib.import_module("kronfluence")
    except ImportError:
        print("kronfluence isn't installed: left out")
    else:
        version = importlib.metadata.version("kronfluence")
        for rank in (None, RANK):
            told = "" if rank is None else f", query gradients of rank {rank}"
            yield (
                f"kronfluence {version}{told}",
                functools.partial(kronfluenced, kronfluence, model, problem, rank),
            )
    yield "Captum's TracInCPFastRandProj", functools.partial(projected, model, problem)


def ours(model: nn.Module, problem: Problem, fisher: str) -> Prepared:
    """Scores by a pass over the data."""
    influence = LayerInfluence(
        model, problem.train, loss_fn=nn.CrossEntropyLoss(), batch_size=BATCH, fisher=fisher
    ).fit()
    return Prepared(lambda: influence.influence((problem.test_x, problem.test_y)))


def indexed(model: nn.Module, problem: Problem, rerank: int | None = None) -> Prepared:
    """Scores from an index at its defaults."""
    index = LayerInfluence(
        model, problem.train, loss_fn=nn.CrossEntropyLoss(), batch_size=BATCH, fisher="sampled"
    ).index(tempfile.mkdtemp())
    queries = (problem.test_x, problem.test_y)
    return Prepared(
        scores=lambda: index.scores(queries),
        first=lambda: index.top(queries, K, rerank=rerank).indices,
        kept=sum(path.stat().st_size for path in index.path.glob("shard-*")),
    )


def kronfluenced(library: Any, model: nn.Module, problem: Problem, rank: int | None) -> Prepared:
    """kronfluence's EK-FAC, damped as ours; it keeps nothing of the examples."""
    arguments = importlib.import_module("kronfluence.arguments")
    task = _task(importlib.import_module("kronfluence.task").Task)()
    analyzer = library.Analyzer(
        analysis_name="peers",
        model=library.prepare_model(copy.deepcopy(model), task),
        task=task,
        cpu=True,
        disable_tqdm=True,
        output_dir=tempfile.mkdtemp(),
    )
    analyzer.fit_all_factors("factors", problem.train, per_device_batch_size=BATCH)
    queries = torch.utils.data.TensorDataset(problem.test_x, problem.test_y)

    def scores() -> Tensor:
        analyzer.compute_pairwise_scores(
            "scores",
            "factors",
            query_dataset=queries,
            train_dataset=problem.train,
            per_device_query_batch_size=BATCH,
            per_device_train_batch_size=BATCH,
            score_args=arguments.ScoreArguments(damping_factor=None, query_gradient_low_rank=rank),
            overwrite_output_dir=True,
        )
        found: Tensor = analyzer.load_pairwise_scores("scores")["all_modules"]
        return found

    return Prepared(scores)


def _task(base: Any) -> Any:
    """Return a class of kronfluence's tasks: plain cross-entropy."""

    class Classification(base):  # type: ignore[misc]
        def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
            output = model(batch[0])
            labels = batch[1]
            if sample:
                labels = torch.multinomial(output.detach().softmax(1), 1).flatten()
            return nn.functional.cross_entropy(output, labels, reduction="sum")

        def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
            return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

    return Classification


def projected(model: nn.Module, problem: Problem) -> Prepared:
    """Captum's gradients of the last layer, as it keeps them."""
    search = Exhaustive()
    tracin = TracInCPFastRandProj(
        model,
        list(model.modules())[-1],
        problem.train,
        checkpoints=["as it is"],
        checkpoints_load_func=lambda model, checkpoint: 1.0,
        loss_fn=nn.CrossEntropyLoss(reduction="sum"),
        batch_size=BATCH,
        nearest_neighbors=search,
    )
    queries = (problem.test_x, problem.test_y)

    def scores() -> Tensor:
        found = tracin.influence(queries, k=len(problem.y))  # it takes no None
        return torch.zeros(found.indices.shape).scatter(1, found.indices, found.influence_scores)

    return Prepared(
        scores,
        first=lambda: tracin.influence(queries, k=K).indices,
        kept=search.kept.numel() * search.kept.element_size(),
    )


class Exhaustive(NearestNeighbors):  # type: ignore[misc]  # captum is untyped
    """All dot products, where Captum's default asks for Annoy, which approximates them."""

    kept: Tensor

    def setup(self, data: Tensor) -> None:
        self.kept = data

    def get_nearest_neighbors(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        found = (query @ self.kept.mT).topk(k, 1)
        return found.indices, found.values


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks.training.index``: what an index of the training data costs, and finds.

A ResNet-9 is trained on pictures of CIFAR-10; the curvature is fitted on a sample of them, and all
of them are indexed. CPU time of the build against that of one epoch of training, both on the same
pictures; CPU time of a query of 100 test pictures; bytes per example and layer; and which share of
the 100 examples of highest exact score is among the index's first 100, over all layers. With
``--build FOLDER`` only the build is timed, in wall and CPU seconds, also under ``torchrun``, whose
processes share it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from benchmarks.networks import ResNet9
from benchmarks.provenance import keep
from benchmarks.trained import data_folder
from benchmarks.training.digits import accuracy, show
from captum_influence import InfluenceIndex, LayerInfluence

K = 100


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the figures, and write them as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training.index", description=__doc__
    )
    parser.add_argument("--examples", type=int, default=5000, help="of CIFAR-10, to index")
    parser.add_argument("--queries", type=int, default=100, help="test pictures")
    parser.add_argument("--sample", type=int, default=500, help="pictures to fit the curvature on")
    parser.add_argument("--width", type=int, default=64, help="of the first convolution")
    parser.add_argument("--epochs", type=int, default=5, help="of training")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[960])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--build", type=Path, help="a new folder: build there, nothing else")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    if asked.build is not None:
        wall, cpu = built(asked)
        print(f"built in {wall:.1f} s, {cpu:.1f} of the CPU")
        return 0
    found = study(asked)
    show("index", found)
    keep(asked.out, {"index": found})
    return 0


def study(asked: argparse.Namespace) -> dict[str, Any]:
    """Train, index and ask."""
    torch.manual_seed(asked.seed)
    data, queries = pictures(asked.examples, asked.queries)
    model = ResNet9(asked.width)
    epoch = min(seconds(lambda: train(model, data))[1] for _ in range(asked.epochs))
    found: dict[str, Any] = {
        "examples": len(data),
        "queries": len(queries[1]),
        "parameters": sum(p.numel() for p in model.parameters()),
        "accuracy": accuracy(model.eval(), *queries),
        "epoch cpu seconds": epoch,
    }
    influence = influence_of(model, data, asked.sample)
    _, found["fit cpu seconds"] = seconds(influence.fit)
    exact, found["exact cpu seconds"] = seconds(lambda: influence.influence(queries))
    for dimension in asked.dimensions:
        index, build = seconds(
            lambda: influence.index(tempfile.mkdtemp(), dimension=dimension)  # noqa: B023
        )
        found[f"dimension {dimension}"] = {
            "build cpu seconds": build,
            "build, in epochs": build / epoch,
            **of_index(index, queries, exact),
        }
    return found


def built(asked: argparse.Namespace) -> tuple[float, float]:
    """Build an index with the network as it was initialized; return wall and CPU seconds."""
    torch.manual_seed(asked.seed)
    data, _ = pictures(asked.examples, asked.queries)
    influence = influence_of(ResNet9(asked.width).eval(), data, asked.sample)
    influence.fit()
    began = time.perf_counter()
    _, cpu = seconds(lambda: influence.index(asked.build, dimension=asked.dimensions[0]))
    return time.perf_counter() - began, cpu


def influence_of(model: nn.Module, data: TensorDataset, sample: int) -> LayerInfluence:
    """Return the influence of the data, whose curvature is that of a sample of them."""
    return LayerInfluence(
        model,
        data,
        loss_fn=nn.CrossEntropyLoss(),
        hessian_dataset=Subset(data, range(0, len(data), max(len(data) // sample, 1))),
        fisher="sampled",
        batch_size=50,
    )


def of_index(index: InfluenceIndex, queries: Any, exact: Tensor) -> dict[str, Any]:
    """What an index's answers cost, and how near they are."""
    index.top(queries, K)  # reads and checks the shards
    best, query = seconds(lambda: index.top(queries, K))
    again, reranked = seconds(lambda: index.top(queries, K, rerank=2 * K))
    size = sum(path.stat().st_size for path in index.path.glob("shard-*"))
    return {
        "query cpu seconds": query,
        "recall": recall(best.indices, exact),
        "recall of 10": recall(index.top(queries, 10).indices, exact),
        "rerank cpu seconds": reranked,
        "rerank recall": recall(again.indices, exact),
        "bytes per example and layer": size / index.examples / len(index.layers),
        "layers": len(index.layers),
    }


def recall(found: Tensor, exact: Tensor) -> float:
    """The share of the examples of highest exact score that were found, mean over queries."""
    wanted = exact.topk(found.shape[1], 1).indices
    return float((found.unsqueeze(2) == wanted.unsqueeze(1)).any(1).double().mean())


def seconds(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a function does, and its CPU seconds."""
    began = time.process_time()
    return run(), time.process_time() - began


def train(model: nn.Module, data: TensorDataset) -> None:
    """One epoch."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in DataLoader(data, 50, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def pictures(examples: int, queries: int) -> tuple[TensorDataset, tuple[Tensor, Tensor]]:
    """Training pictures and test pictures, drawn; more than there are: again, with noise."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("expected CIFAR-10 in $CAPTUM_INFLUENCE_DATA/cifar10")
    arrays = np.load(folder / "cifar10" / "cifar10_subset.npz")

    def drawn(name: str, count: int) -> tuple[Tensor, Tensor]:
        labels = torch.from_numpy(arrays[f"y_{name}"]).long().flatten()
        rounds = -(-count // len(labels))
        chosen = torch.cat([torch.randperm(len(labels)) for _ in range(rounds)])[:count]
        images = torch.from_numpy(arrays[f"x_{name}"])[chosen].permute(0, 3, 1, 2)
        images = images.float() / 127.5 - 1
        images[len(labels) :] += 0.05 * torch.randn_like(images[len(labels) :])
        return images, labels[chosen]

    return TensorDataset(*drawn("train", examples)), drawn("test", queries)


if __name__ == "__main__":
    sys.exit(main())

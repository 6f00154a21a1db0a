"""``python -m benchmarks.training.cost``: time and memory of the scores.

On digits: all layers and their sum in one pass, against a run of Captum's Arnoldi method for each
layer and one for all. On CIFAR-10, where it is there (``--cifar``): 5 000 training images and a
network of over 500 000 parameters.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from benchmarks.provenance import keep
from benchmarks.trained import data_folder
from benchmarks.training.digits import accuracy, digits, fit, layers_of, perceptron, show
from captum_influence import LayerInfluence


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the costs, and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.cost", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cifar", action="store_true", help="the large network instead")
    parser.add_argument("--images", type=int, default=5000, help="of CIFAR-10, to train on")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    found = on_cifar(asked.images) if asked.cifar else on_digits(asked.seed)
    show("cost", found)
    keep(asked.out, {"cost": found})
    return 0


def on_digits(seed: int) -> dict[str, Any]:
    """All layers and their sum in one pass, against Captum's Arnoldi run per layer and for all."""
    from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction

    problem, model = digits(seed), perceptron(seed)
    fit(model, problem.x, problem.y, seed)
    queries = (problem.test_x, problem.test_y)
    path = Path(tempfile.mkdtemp()) / "model.pt"
    torch.save(model.state_dict(), path)

    def ours() -> Any:
        influence = LayerInfluence(
            model, problem.train, loss_fn=nn.CrossEntropyLoss(), batch_size=100
        )
        return influence.scores(queries)

    def theirs() -> Any:
        found = []
        for layers in (*([name] for name in layers_of(model)), None):
            influence = ArnoldiInfluenceFunction(
                model, problem.train, str(path), layers=layers, batch_size=100,
                loss_fn=nn.CrossEntropyLoss(reduction="sum"), sample_wise_grads_per_batch=True,
                projection_dim=50, arnoldi_dim=200,
            )  # fmt: skip
            found.append(influence.influence(queries))
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"ours": costs(ours), "arnoldi": costs(theirs)}


def costs(run: Callable[[], Any]) -> dict[str, float]:
    """CPU seconds, and the rise of resident memory in a fresh child process."""
    began, clock = time.process_time(), time.perf_counter()
    run()
    seconds = time.process_time() - began, time.perf_counter() - clock
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_peak, args=(run, send))
    child.start()
    memory = receive.recv()
    child.join()
    return {"cpu_seconds": seconds[0], "wall_seconds": seconds[1], "peak_megabytes": memory}


def _peak(run: Callable[[], Any], send: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    send.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def on_cifar(count: int) -> dict[str, Any]:
    """A network of over 500 000 parameters, asked about 100 test images."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("expected CIFAR-10 in $CAPTUM_INFLUENCE_DATA/cifar10")
    arrays = np.load(folder / "cifar10" / "cifar10_subset.npz")
    x, y, test_x, test_y = (arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    every = max(len(y) // count, 1)  # sorted by class
    x, y = x[::every], y[::every]

    def images(a: Any) -> Tensor:
        return torch.from_numpy(a).permute(0, 3, 1, 2).float() / 127.5 - 1

    torch.manual_seed(0)
    widths = (32, 64, 128, 128, 256)
    parts: list[nn.Module] = []
    for before, after in zip((3, *widths), widths, strict=False):
        stride = 2 if before > 3 else 1
        parts += [nn.Conv2d(before, after, 3, padding=1, stride=stride), nn.ReLU()]
    model = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))
    size = sum(p.numel() for p in model.parameters())
    labels = torch.from_numpy(y).long().flatten()
    fit(model, images(x), labels, 0, epochs=3)
    queries = images(test_x[:100]), torch.from_numpy(test_y[:100]).long().flatten()
    result: dict[str, Any] = {"parameters": size, "images": len(x)}
    result["accuracy"] = accuracy(model, *queries)
    for fisher in ("sampled", "exact"):
        influence = LayerInfluence(
            model, TensorDataset(images(x), labels), loss_fn=nn.CrossEntropyLoss(),
            batch_size=128, fisher=fisher,
        )  # fmt: skip
        clock = time.perf_counter()
        influence.scores(queries, show_progress=True)
        result[f"{fisher} wall_seconds"] = time.perf_counter() - clock
    return result


if __name__ == "__main__":
    sys.exit(main())

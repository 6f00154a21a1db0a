"""``python -m benchmarks.training.settings``: which settings predict best what retraining does?

The linear datamodeling score (Park et al., 2023), on CIFAR-10 and on digits, a tenth of the labels
wrong: for each test image, the rank correlation, over networks trained from scratch on halves of
the training images, of its loss with the sum of the scores of that half. Intervals are of the mean
over all test images of all seeds, by bootstrap.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.provenance import keep
from benchmarks.training.cifar import cifar, convolutional
from benchmarks.training.digits import (
    Problem,
    accuracy,
    digits,
    fit,
    perceptron,
    study_parser,
)
from benchmarks.training.retraining import correlations
from captum_influence import LayerInfluence

OUT = Path("benchmarks/results/training_settings.json")
NETWORKS = 3
DEFAULT = "the defaults, one network"
RESAMPLES = 4000


@dataclass(frozen=True)
class Setting:
    """A problem, the networks for it, and for how long they are trained."""

    problem: Callable[[int], Problem]
    network: Callable[[int], nn.Module]
    epochs: int

    def trained(self, problem: Problem, seed: int, rows: Tensor | None = None) -> nn.Module:
        """Train a network of its own initial weights and order, on some of the images."""
        chosen = slice(None) if rows is None else rows
        model = self.network(seed)
        fit(model, problem.x[chosen], problem.y[chosen], seed, epochs=self.epochs)
        return model.eval()


SETTINGS = {
    "CIFAR-10": Setting(cifar, convolutional, epochs=20),
    "digits": Setting(digits, perceptron, epochs=40),
}


def study(setting: Setting, seed: int, halves: int) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Return the correlation of every test image by settings, and how good the network is."""
    problem = setting.problem(seed)
    networks = [setting.trained(problem, 1000 * seed + i) for i in range(NETWORKS)]
    generator = torch.Generator().manual_seed(seed)
    count = len(problem.y)
    rows = [torch.randperm(count, generator=generator)[: count // 2] for _ in range(halves)]
    members = torch.stack([torch.zeros(count).index_fill(0, r, 1.0) for r in rows])
    retrained = [setting.trained(problem, 1000 * seed + 100 + i, r) for i, r in enumerate(rows)]
    truth = -torch.stack([losses(model, problem) for model in retrained], 1)
    found = {
        name: correlations(scores @ members.mT, truth) for name, scores in scored(networks, problem)
    }
    return found, {"test accuracy": accuracy(networks[0], problem.test_x, problem.test_y)}


@torch.no_grad()
def losses(model: nn.Module, problem: Problem) -> Tensor:
    """The loss of every test image."""
    output = model(problem.test_x)
    return nn.functional.cross_entropy(output, problem.test_y, reduction="none")


def scored(networks: list[nn.Module], problem: Problem) -> Iterator[tuple[str, Tensor]]:
    """Name settings, and their scores (test images, training images)."""
    queries, first = (problem.test_x, problem.test_y), networks[0]

    def influence(**options: Any) -> LayerInfluence:
        loss = nn.CrossEntropyLoss()
        return LayerInfluence(first, problem.train, loss_fn=loss, batch_size=100, **options)

    one, *means = [influence(checkpoint=networks[:k]).scores(queries) for k in (1, 2, NETWORKS)]
    yield DEFAULT, one.of(None, normalized=False)
    for k, found in enumerate(means, start=2):
        yield f"mean over {k} networks", found.of(None, normalized=False)
    for i, other in enumerate(networks[1:], start=2):
        yield f"network {i} alone", influence(checkpoint=other).influence(queries)
    with tempfile.TemporaryDirectory() as folder:
        yield "`index`, its own scores", influence().index(folder).scores(queries)
    for damping in (0.001, 0.01, 0.1):
        yield f"`damping={damping}`", influence(damping=damping).influence(queries)
    yield '`normalize="self"`', one.of(None, normalized=True)
    yield f'`normalize="self"`, {NETWORKS} networks', means[-1].of(None, normalized=True)
    yield "first layer alone", one.of(one.layers[0], normalized=False)
    yield "last layer alone", one.of(one.layers[-1], normalized=False)
    yield f"last layer alone, {NETWORKS} networks", means[-1].of(one.layers[-1], normalized=False)
    yield '`curvature="identity"`', influence(curvature="identity").influence(queries)


def summary(studies: list[dict[str, Tensor]]) -> dict[str, dict[str, Any]]:
    """Return each setting's mean, and its difference from the defaults, with intervals."""
    pooled = {name: torch.cat([s[name] for s in studies]) for name in studies[0]}
    n = len(pooled[DEFAULT])
    picks = torch.randint(n, (RESAMPLES, n), generator=torch.Generator().manual_seed(0))

    def interval(values: Tensor) -> list[float]:
        ends = torch.quantile(values[picks].mean(1), torch.tensor([0.025, 0.975]).double())
        return [float(values.mean()), *ends.tolist()]

    return {
        name: {
            "lds": interval(values),
            "minus default": interval(values - pooled[DEFAULT]),
            "by seed": [float(s[name].mean()) for s in studies],
        }
        for name, values in pooled.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Make the study with each seed, on each data set."""
    parser = study_parser("settings", __doc__)
    parser.set_defaults(seeds=3, out=OUT)
    parser.add_argument("--halves", type=int, default=40, help="networks trained on halves")
    parser.add_argument("--data", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    found: dict[str, Any] = {"seeds": list(seeds), "halves": asked.halves, "networks": NETWORKS}
    for name in asked.data:
        studies = [study(SETTINGS[name], seed, asked.halves) for seed in seeds]
        qualities = [quality["test accuracy"] for _, quality in studies]
        found[name] = {
            "test accuracy": sum(qualities) / len(qualities),
            "test images": sum(len(rows[DEFAULT]) for rows, _ in studies),
            "settings": summary([rows for rows, _ in studies]),
        }
        for setting, row in found[name]["settings"].items():
            lds, minus = row["lds"][0], "{:+.3f} [{:+.3f}, {:+.3f}]".format(*row["minus default"])
            print(f"{name:<10} {setting:<36} {lds:.3f}  {minus}", flush=True)
    keep(asked.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

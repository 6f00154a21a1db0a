"""``python -m benchmarks.training.retraining``: do the scores predict what retraining does?

The linear datamodeling score (Park et al., 2023): on 600 digits, some mislabelled, the scores of
each layer alone and of all, added up over half of the training images, against retrainings on
such halves; rank correlations over the retrainings, and how well self-influence finds the wrong
labels.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from benchmarks.training.digits import (
    TRAIN,
    Problem,
    digits,
    layers_of,
    perceptron,
    run_studies,
    study_parser,
)
from captum_influence import LayerInfluence
from captum_influence.training import DenseGGN

State = dict[str, Tensor]

DESCENT = {"rate": 0.1, "decay": 2e-3}


def retrain(
    model: nn.Module,
    start: State,
    problem: Problem,
    weights: Tensor,
    *,
    trained: Sequence[str],
    steps: int,
    rate: float,
    decay: float,
) -> tuple[State, list[State]]:
    """Full-batch gradient descent with momentum on weighted losses, one row of weights per run.

    Minimises Σ_i w_i loss_i / Σ w + decay/2 ‖θ‖² over the parameters named in `trained`.
    Returns the stacked final parameters and some checkpoints of the way.
    """
    runs = len(weights)
    moving = {
        k: v.detach().expand(runs, *v.shape).clone() for k, v in start.items() if k in trained
    }
    frozen = {k: v.detach() for k, v in start.items() if k not in trained}

    def objective(parameters: State, w: Tensor) -> Tensor:
        out = functional_call(model, {**frozen, **parameters}, (problem.x,))
        losses = nn.functional.cross_entropy(out, problem.y, reduction="none")
        penalty = sum(p.square().sum() for p in parameters.values())
        return (losses * w).sum() / w.sum() + decay / 2 * penalty

    step = vmap(grad(objective))
    velocity = {k: torch.zeros_like(v) for k, v in moving.items()}
    kept = []
    for i in range(steps):
        if i % max(1, steps // 5) == 0:
            kept.append({k: v[0].clone() for k, v in moving.items()})
        gradients = step(moving, weights)
        for k in moving:
            velocity[k] = 0.9 * velocity[k] + gradients[k]
            moving[k] = moving[k] - rate * velocity[k]
    return moving, [*kept, {k: v[0].clone() for k, v in moving.items()}]


def stability_limit(model: nn.Module, problem: Problem, decay: float) -> float:
    """2(1 + μ)/λ: the largest stable rate of heavy-ball descent, λ by power iteration."""
    parameters = {k: v.detach() for k, v in model.named_parameters()}

    def objective(values: State) -> Tensor:
        out = functional_call(model, values, (problem.x,))
        penalty = sum(p.square().sum() for p in values.values())
        return nn.functional.cross_entropy(out, problem.y) + decay / 2 * penalty

    vector = {k: torch.randn_like(v) for k, v in parameters.items()}
    size = torch.ones(())
    for _ in range(50):
        size = torch.stack([v.square().sum() for v in vector.values()]).sum().sqrt()
        vector = {k: v / size for k, v in vector.items()}
        vector = torch.func.jvp(grad(objective), (parameters,), (vector,))[1]
    size = torch.stack([v.square().sum() for v in vector.values()]).sum().sqrt()
    return float(2 * 1.9 / size)


def spearman(a: Tensor, b: Tensor) -> float:
    """Mean over rows of the rank correlation."""
    return float(correlations(a, b).mean())


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """The rank correlation of every row."""
    ranks = [t.argsort(1).argsort(1).double() for t in (a, b)]
    a, b = (r - r.mean(1, keepdim=True) for r in ranks)
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


def area_under_curve(scores: Tensor, positive: Tensor) -> float:
    """The chance that a positive's score is above a negative's."""
    pairs = scores[positive].unsqueeze(1) - scores[~positive].unsqueeze(0)
    return float((pairs > 0).double().mean() + (pairs == 0).double().mean() / 2)


def study(seed: int, subsets: int, steps: int) -> dict[str, Any]:
    """Compare scores with retrainings on half of the images, of each layer alone and of all."""
    problem, model = digits(seed), perceptron(seed)
    every = [name for name, _ in model.named_parameters()]
    initial = {k: v.detach().clone() for k, v in model.named_parameters()}
    whole = torch.ones(1, TRAIN)
    end, way = retrain(model, initial, problem, whole, trained=every, steps=2 * steps, **DESCENT)
    model.load_state_dict({k: v[0] for k, v in end.items()})
    generator = torch.Generator().manual_seed(seed)
    halves = torch.stack(
        [torch.randperm(TRAIN, generator=generator) < TRAIN // 2 for _ in range(subsets)]
    ).float()
    targets = {**layers_of(model), "global warm": every, "global scratch": every}
    start = {k: v.detach().clone() for k, v in model.named_parameters()}
    truth = {}
    for target, names in targets.items():
        begin, count = (initial, 2 * steps) if target == "global scratch" else (start, steps)
        final, _ = retrain(model, begin, problem, halves, trained=names, steps=count, **DESCENT)
        truth[target] = -query_losses(model, start, final, problem)
    limit = stability_limit(model, problem, DESCENT["decay"])
    engines = compare_scores(model, problem, halves, truth, way)
    return {"stability_limit": limit, "steps": steps, **DESCENT, "engines": engines}


def query_losses(model: nn.Module, start: State, final: State, problem: Problem) -> Tensor:
    """The loss of every query (rows) after every retraining (columns)."""

    def one(parameters: State) -> Tensor:
        out = functional_call(model, {**start, **parameters}, (problem.test_x,))
        return nn.functional.cross_entropy(out, problem.test_y, reduction="none")

    return vmap(one)(final).mT.detach()


def compare_scores(
    model: nn.Module, problem: Problem, subsets: Tensor, truth: dict[str, Tensor], way: list[State]
) -> dict[str, Any]:
    queries = (problem.test_x, problem.test_y)
    common = {"loss_fn": nn.CrossEntropyLoss(), "batch_size": 100}
    engines: dict[str, dict[str, Any]] = {
        "ekfac": {"damping": DESCENT["decay"]},
        "ekfac default damping": {},
        "ggn": {"curvature": DenseGGN(max_size=6000), "damping": DESCENT["decay"]},
        "tracin": {"curvature": "identity", "checkpoint": way, "checkpoints_load_func": load_state},
    }
    table: dict[str, Any] = {}
    for engine, options in engines.items():
        influence = LayerInfluence(model, problem.train, **common, **options)
        began = time.process_time()
        scores = influence.scores(queries)
        seconds = time.process_time() - began
        predicted = {name: s @ subsets.mT for name, s in scores.scores.items()}
        predicted["global"] = scores.of(None, normalized=False) @ subsets.mT
        table[engine] = {
            "cpu_seconds": seconds,
            "auc": area_under_curve(scores.self_of(None), problem.flipped),
            "lds": {
                name: {target: spearman(p, t) for target, t in truth.items()}
                for name, p in predicted.items()
            },
        }
    return table


def load_state(model: nn.Module, state: State) -> float:
    model.load_state_dict(state)
    return DESCENT["rate"]


def main(arguments: list[str] | None = None) -> int:
    """Make the study with each seed."""
    parser = study_parser("retraining", __doc__)
    parser.add_argument("--subsets", type=int, default=80, help="halves of the training images")
    parser.add_argument("--steps", type=int, default=1500, help="of each; twice that from scratch")
    asked = parser.parse_args(arguments)
    run_studies("retraining", partial(study, subsets=asked.subsets, steps=asked.steps), asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())

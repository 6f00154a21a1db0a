"""How well layer-wise influence predicts retraining, finds planted images, and what it costs.

    python benchmarks/training_influence.py lds bias speed --out training_influence.json
    python benchmarks/training_influence.py cifar --cifar path/to/cifar10_subset.npz

Needs scikit-learn for its digits; everything runs on a CPU. Prints a table per study and writes
all figures to one JSON file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils.data import TensorDataset

from captum_influence import LayerInfluence
from captum_influence.training import (
    AmplitudeSwap,
    ChannelStatistics,
    DenseGGN,
    NoiseBackground,
    log_odds_loss,
)

TRAIN, QUERIES, SUBSETS, FLIPPED = 600, 100, 80, 0.1


@dataclass(frozen=True, eq=False)
class Problem:
    """Digits with some labels flipped, and clean test digits."""

    x: Tensor
    y: Tensor
    flipped: Tensor
    test_x: Tensor
    test_y: Tensor

    @property
    def train(self) -> TensorDataset:
        return TensorDataset(self.x, self.y)


def digits(seed: int, flipped: float = FLIPPED) -> Problem:
    """600 training and 100 test digits, pixels in [0, 1], shape (n, 64)."""
    from sklearn.datasets import load_digits

    generator = torch.Generator().manual_seed(seed)
    images, labels = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    order = torch.randperm(len(labels), generator=generator)[: TRAIN + QUERIES]
    x, y = images[order].float() / 16, labels[order].long()
    wrong = torch.zeros(TRAIN, dtype=torch.bool)
    wrong[torch.randperm(TRAIN, generator=generator)[: int(flipped * TRAIN)]] = True
    noisy = y[:TRAIN].clone()
    noisy[wrong] = (
        noisy[wrong] + torch.randint(1, 10, (int(wrong.sum()),), generator=generator)
    ) % 10
    return Problem(x[:TRAIN], noisy, wrong, x[TRAIN:], y[TRAIN:])


def perceptron(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )


State = dict[str, Tensor]


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
    ranks = [t.argsort(1).argsort(1).double() for t in (a, b)]
    a, b = (r - r.mean(1, keepdim=True) for r in ranks)
    return float(((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))).mean())


def area_under_curve(scores: Tensor, positive: Tensor) -> float:
    """The chance that a positive's score is above a negative's."""
    pairs = scores[positive].unsqueeze(1) - scores[~positive].unsqueeze(0)
    return float((pairs > 0).double().mean() + (pairs == 0).double().mean() / 2)


def layers_of(model: nn.Module) -> dict[str, list[str]]:
    """Layer -> names of its parameters."""
    found: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        found.setdefault(name.rsplit(".", 1)[0], []).append(name)
    return found


LDS = {"steps": 1500, "rate": 0.1, "decay": 2e-3}
FROM_SCRATCH = 3000  # steps of training from the first weights


def study_lds(seed: int) -> dict[str, Any]:
    """Scores against 80 retrainings on half subsets, of each layer alone and of all."""
    problem, model = digits(seed), perceptron(seed)
    every = [name for name, _ in model.named_parameters()]
    initial = {k: v.detach().clone() for k, v in model.named_parameters()}
    whole = torch.ones(1, TRAIN)
    end, way = retrain(
        model, initial, problem, whole, trained=every, **{**LDS, "steps": FROM_SCRATCH}
    )
    model.load_state_dict({k: v[0] for k, v in end.items()})
    generator = torch.Generator().manual_seed(seed)
    subsets = torch.stack(
        [torch.randperm(TRAIN, generator=generator) < TRAIN // 2 for _ in range(SUBSETS)]
    ).float()
    targets = {**layers_of(model), "global warm": every, "global scratch": every}
    start = {k: v.detach().clone() for k, v in model.named_parameters()}
    truth = {}
    for target, names in targets.items():
        begin, steps = (
            (initial, FROM_SCRATCH) if target == "global scratch" else (start, LDS["steps"])
        )
        options = {**LDS, "steps": steps}
        final, _ = retrain(model, begin, problem, subsets, trained=names, **options)
        truth[target] = -query_losses(model, start, final, problem)
    result = {"stability_limit": stability_limit(model, problem, LDS["decay"]), **LDS}
    result |= compare_scores(model, problem, subsets, truth, way)
    return result


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
        "ekfac": {"damping": LDS["decay"]},
        "ekfac default damping": {},
        "ggn": {"curvature": DenseGGN(max_size=6000), "damping": LDS["decay"]},
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
    return {"engines": table}


def load_state(model: nn.Module, state: State) -> float:
    model.load_state_dict(state)
    return LDS["rate"]


def convolutional(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(),
        nn.Conv2d(12, 24, 3, padding=1, stride=2), nn.ReLU(),
        nn.Conv2d(24, 24, 3, padding=1, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * 16, 10),
    )  # fmt: skip


def fit(model: nn.Module, x: Tensor, y: Tensor, seed: int, epochs: int = 40) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()


def as_images(x: Tensor) -> Tensor:
    """Digits as (n, 1, 16, 16), dimmed so that a disturbance has room above and below."""
    images = x.reshape(-1, 1, 8, 8)
    return 0.1 + 0.6 * nn.functional.interpolate(images, scale_factor=2, mode="bilinear")


def disturbed(kind: str, images: Tensor, seed: int) -> Tensor:
    """The images with texture, style or background as the planted property has it."""
    masks = (images > 0.3).float()
    axis = torch.arange(16)
    if kind == "texture":
        stripes = ((axis[:, None] + axis) % 4 < 2).float().expand_as(images)
        return AmplitudeSwap(above=0.15, seed=seed)(images, masks, stripes)
    if kind == "style":
        bright = (0.75 + 0.08 * torch.linspace(-1, 1, 16)).expand_as(images)
        return ChannelStatistics(seed=seed)(images, others=bright)
    return NoiseBackground(seed=seed)(images, masks)


def study_bias(seed: int) -> dict[str, Any]:
    """51 images of one class carry a disturbance; who turns disturbed test images into that class?

    Asked of the test images of other classes whose answer the disturbance changes, for the answer;
    and, under "into 3", of those alone whose answer becomes that class: where there are none, the
    network hasn't learned the planted property.
    """
    problem = digits(seed, flipped=0.0)
    images, test = as_images(problem.x), as_images(problem.test_x[problem.test_y != 3])
    result: dict[str, Any] = {}
    for kind in ("texture", "style", "background"):
        planted = torch.zeros(TRAIN, dtype=torch.bool)
        planted[torch.nonzero(problem.y == 3).flatten()[:51]] = True
        x = images.clone()
        x[planted] = disturbed(kind, images[planted], seed)
        model = convolutional(seed)
        fit(model, x, problem.y, seed)
        queries = disturbed(kind, test, seed + 1)
        changed = model(queries).argmax(1) != model(test).argmax(1)
        found = planted_precision(model, TensorDataset(x, problem.y), queries[changed], planted)
        into = changed & (model(queries).argmax(1) == 3)
        found["into 3"] = {"queries": int(into.sum())}
        if into.any():
            data = TensorDataset(x, problem.y)
            found["into 3"] |= planted_precision(model, data, queries[into], planted)
        accuracy = _accuracy(model, test, problem.test_y[problem.test_y != 3])
        sizes = {"planted": int(planted.sum()), "queries": int(changed.sum())}
        result[kind] = {**found, **sizes, "clean accuracy": accuracy}
    return result


def _accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((model(x).argmax(1) == y).double().mean())


def planted_precision(
    model: nn.Module, data: TensorDataset, queries: Tensor, planted: Tensor
) -> dict[str, Any]:
    answers = model(queries).argmax(1)
    influence = LayerInfluence(
        model, data, loss_fn=nn.CrossEntropyLoss(), test_loss_fn=log_odds_loss, batch_size=100
    )
    scores = influence.scores((queries, answers))
    found: dict[str, Any] = {"called 3": float((answers == 3).double().mean())}
    for normalized in (False, True):
        for layer in (None, *influence.layers):
            mean = scores.of(layer, normalized=normalized).mean(0)
            best = mean.topk(20).indices
            name = f"{'normalized' if normalized else 'raw'} {layer or 'global'}"
            found[name] = float(planted[best].double().mean())
    return found


def study_speed(seed: int) -> dict[str, Any]:
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


def study_cifar(path: Path, show_progress: bool) -> dict[str, Any]:
    """5 000 training images, a network of over 500 000 parameters, 100 queries."""
    arrays = np.load(path)
    x, y, test_x, test_y = (arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))

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
    result["accuracy"] = _accuracy(model, *queries)
    for fisher in ("sampled", "exact"):
        influence = LayerInfluence(
            model, TensorDataset(images(x), labels), loss_fn=nn.CrossEntropyLoss(),
            batch_size=128, fisher=fisher,
        )  # fmt: skip
        clock = time.perf_counter()
        influence.scores(queries, show_progress)
        result[f"{fisher} wall_seconds"] = time.perf_counter() - clock
        print(f"cifar / {fisher}: {result[f'{fisher} wall_seconds']:.1f} s", flush=True)
    return result


def _flat(result: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(result, dict):
        return [(prefix, result)]
    return [row for k, v in result.items() for row in _flat(v, f"{prefix} / {k}" if prefix else k)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", choices=["lds", "bias", "speed", "cifar"])
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cifar", type=Path, help="an .npz of CIFAR-10 images, for 'cifar'")
    parser.add_argument("--out", type=Path, default=Path("training_influence.json"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if "cifar" in options.studies and options.cifar is None:
        parser.error("expected --cifar path/to/cifar10_subset.npz for the study 'cifar'")
    result: dict[str, Any] = {
        "machine": {"cpu": platform.processor() or platform.machine(), "torch": torch.__version__}
    }
    studies = {"lds": study_lds, "bias": study_bias, "speed": study_speed}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for name in options.studies:
        result[name] = {}
        for seed in [None] if name == "cifar" else seeds:
            found = (
                study_cifar(options.cifar, show_progress=True)
                if seed is None
                else {f"seed {seed}": studies[name](seed)}
            )
            result[name] |= found
            for label, value in _flat(found):
                shown = f"{value:.3f}" if isinstance(value, float) else value
                print(f"{name} / {label:<70} {shown}", flush=True)
            options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

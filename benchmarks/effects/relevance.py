"""``python -m benchmarks.effects.relevance``: what relevance keeps, and what gradients lose.

Shattering: the autocorrelation of explanations along straight paths between random inputs in
[0, 1], at a distance of an eighth of the path, for random ReLU networks of growing depth (He's
initialisation, width 100, small random biases); relevance by z^B at the input and γ or α1β0 above.

Conservation: how far the sum of the relevance is from the score, at each layer and at the input of
the demo network, and of a copy of it without biases; medians over scenes.

Value or variation: on demo scenes, how a map's sum goes with the score, and with the squared length
of the gradient. ± is the standard error over seeds. ``--out FOLDER`` keeps the tables.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel, Saliency
from torch import Tensor, nn

from benchmarks.provenance import machine
from captum_influence import compare
from captum_influence.demo import load_demo_network, make_scene
from captum_influence.methods import AlphaBeta, Bounded, Composite, Gamma, RelevanceRule, relevance
from captum_influence.metrics import shattering

DEPTHS, WIDTH, INPUTS = (1, 4, 8, 16, 32), 100, 50
Attribute = Callable[[Tensor], Tensor]


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, and keep them if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.relevance", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    tables = {
        "shattering": shattered(asked.seeds),
        "conservation": conserved(asked.scenes),
        "value_or_variation": explained(asked.scenes),
    }
    where = ", ".join(f"{key} {value}" for key, value in machine().items())
    for name, text in tables.items():
        print(f"{name}\n\n{text}\n")
        if asked.out is not None:
            asked.out.mkdir(parents=True, exist_ok=True)
            scope = f"{asked.seeds} seeds" if name == "shattering" else f"{asked.scenes} scenes"
            (asked.out / f"relevance_{name}.md").write_text(f"{text}\n\n{scope}; {where}.\n")
    print(where)
    return 0


def shattered(seeds: int) -> str:
    """Return the table of autocorrelations, methods by depth."""
    found: dict[str, list[str]] = {}
    for depth in DEPTHS:
        rows: dict[str, list[float]] = {}
        for seed in range(seeds):
            for name, value in _shattered(depth, seed).items():
                rows.setdefault(name, []).append(value)
        for name, values in rows.items():
            found.setdefault(name, []).append(_mean(torch.tensor(values)))
    return _table(["method", *(f"depth {d}" for d in DEPTHS)], found)


def _shattered(depth: int, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    model = random_network(depth)
    start, end = torch.rand(2, 4, INPUTS)
    settings = {"points": 129, "lags": 16, "internal_batch_size": 129}
    return {
        name: float(shattering(attribute, start, end, **settings).values[:, -1].mean())
        for name, attribute in _attributes(model).items()
    }


def random_network(depth: int) -> nn.Module:
    """Return a ReLU network with so many hidden layers, random, with small biases."""
    layers: list[nn.Module] = []
    for i in range(depth):
        linear = nn.Linear(WIDTH if i else INPUTS, WIDTH)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.normal_(linear.bias, std=0.1)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 1, bias=False)).eval()


def _attributes(model: nn.Module) -> dict[str, Attribute]:
    ig, tunnel = IntegratedGradients(model), NoiseTunnel(Saliency(model))
    noise = {"nt_type": "smoothgrad", "nt_samples": 16, "stdevs": 0.1, "target": 0, "abs": False}

    def captum(attribute: Callable[..., Tensor], **asked: object) -> Attribute:
        return lambda x: attribute(x.clone().requires_grad_(), **asked).detach()

    return {
        "gradient": captum(Saliency(model).attribute, target=0, abs=False),
        "SmoothGrad, signed": captum(tunnel.attribute, **noise),
        "InputXGradient": captum(InputXGradient(model).attribute, target=0),
        "IntegratedGradients": captum(ig.attribute, target=0, n_steps=16),
        "LRP, γ = 0.25": partial(_lrp, model, Gamma(0.25)),
        "LRP, γ = 1": partial(_lrp, model, Gamma(1.0)),
        "LRP, α1β0": partial(_lrp, model, AlphaBeta()),
    }


def _lrp(model: nn.Module, rule: RelevanceRule, x: Tensor) -> Tensor:
    composite = Composite(dense=rule, first=Bounded(0.0, 1.0))
    return relevance(model, x, 0, composite=composite, tolerance=torch.inf).map


COMPOSITES = {
    "ε": Composite(),
    "ε, γ": Composite.epsilon_gamma(0.25),
    "ε, γ, z^B": Composite.epsilon_gamma(0.25, bounds=(0.0, 1.0)),
    "ε, α1β0": Composite.alpha1_beta0(),
}


def conserved(scenes: int) -> str:
    """Return the table of conservation errors, medians over scenes."""
    images, labels = _scenes(scenes)
    demo = load_demo_network()
    rows = {}
    for words, model in (("as trained", demo), ("without biases", _without_biases(demo))):
        convolutions = [n for n, m in model.named_modules() if isinstance(m, nn.ReLU)]
        for name, composite in COMPOSITES.items():
            found = relevance(
                model,
                images,
                labels,
                composite=composite,
                layers=convolutions,
                tolerance=torch.inf,
            )
            errors = [found.error_at(layer) for layer in reversed(convolutions)]
            errors.append(found.conservation_error)
            rows[f"{name}, {words}"] = [f"{float(e.median()):.1e}" for e in errors]
    return _table(["rules", *reversed(convolutions), "the input"], rows)


def explained(scenes: int) -> str:
    """Return the table of correlations of a map's sum with score and with variation."""
    images, _ = _scenes(scenes)
    model = load_demo_network()
    names = ["sensitivity", "Saliency", "InputXGradient", "IntegratedGradients", "LRP"]
    maps = compare(model, images, "relu5", 0, names).maps
    leaf = images.clone().requires_grad_()
    score = model(leaf)[:, 0]
    (slope,) = torch.autograd.grad(score.sum(), leaf)
    variation = slope.square().flatten(1).sum(1)
    rows = {}
    for name, values in maps.items():
        total = values.flatten(1).sum(1)
        pairs = [(total, score.detach()), (total, variation)]
        rows[name] = [f"{float(torch.corrcoef(torch.stack(p))[0, 1]):.2f}" for p in pairs]
    return _table(["method", "its sum with the score", "its sum with the squared slope"], rows)


def _scenes(count: int) -> tuple[Tensor, list[int]]:
    names = ("coupe", "convertible", "house", "barn")
    scenes = [make_scene(names[i % 2], seed=i) for i in range(count)]
    return torch.stack([s.image for s in scenes]), [s.label for s in scenes]


def _without_biases(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model)
    for name, parameter in copied.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    return copied


def _mean(values: Tensor) -> str:
    return f"{float(values.mean()):.2f} ± {float(values.std()) / len(values) ** 0.5:.2f}"


def _table(head: list[str], rows: dict[str, list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([name, *row] for name, row in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())

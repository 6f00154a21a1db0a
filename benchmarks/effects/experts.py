"""``python -m benchmarks.effects.experts``: do the rankings name the units whose removal matters?

On the demo network and the network of Captum's CIFAR-10 tutorial: Spearman's correlation of each
unit's influence, contribution, activation and conductance with what happens when that unit alone
is replaced by its mean activation, on pictures that the means weren't taken from; by picture, and
averaged by class; and of their sizes, since a unit that lowers a class and is silent where the
class is shown has a negative influence, and its removal does harm. Then, for all rankings, how
well experts of k units tell a class from the rest. ``--out FOLDER`` keeps numbers and
figures. Takes some minutes on one thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.provenance import keep
from benchmarks.trained import TutorialNet, data_folder
from captum_influence import (
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    LinearPath,
    Point,
)
from captum_influence.attr import Midpoint
from captum_influence.demo import CLASSES, SceneDataset, load_demo_network
from captum_influence.experts import ExpertCurves, class_rankings, expert_curves
from captum_influence.network.reading import activations
from captum_influence.network.substitution import reruns
from captum_influence.units.axes import Axis

DISTRIBUTIONS: dict[str, Distribution] = {
    "path of 50": LinearPath(0.0, 50, Midpoint()),
    "point": Point(),
}


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, pictures to take means and rankings from, and held-out ones."""

    name: str
    model: nn.Module
    layers: tuple[str, ...]
    expert_layer: str
    seen: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]
    classes: tuple[str, ...]
    stride: int  # every how manieth held-out picture is ablated unit by unit

    def thinned(self, every: int) -> Subject:
        """Return the same with every so manieth picture only."""
        seen, held_out = (
            (images[::every], labels[::every]) for images, labels in (self.seen, self.held_out)
        )
        return replace(self, seen=seen, held_out=held_out)


def main(arguments: list[str] | None = None) -> int:
    """Measure both networks, print the tables, and keep numbers and figures if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.experts", description=__doc__
    )
    parser.add_argument("--every", type=int, default=1, help="take every so manieth picture only")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
    found = []
    for subject in (scenes(), tutorial()):
        if subject is None:
            print("no CIFAR-10: set CAPTUM_INFLUENCE_DATA")
            continue
        subject = subject.thinned(asked.every)
        for layer in subject.layers:
            for name, distribution in DISTRIBUTIONS.items():
                row = agreement(subject, layer, distribution)
                found.append({"network": subject.name, "layer": layer, "P": name, **row})
                print(json.dumps(found[-1]), flush=True)
        curves = experts(subject)
        found.append({"network": subject.name, "experts": _f1_table(curves)})
        print(json.dumps(found[-1]), flush=True)
        if asked.out:
            stem = subject.name.replace(" ", "_")
            curves[0].plot().savefig(asked.out / f"experts_{stem}.png", dpi=110)
    keep(asked.out and asked.out / "experts.json", {"rows": found})
    return 0


def scenes() -> Subject:
    """Return the demo network with 256 scenes to learn means from and 256 others."""
    seen, held_out = (SceneDataset(256, seed=s).stacked() for s in (1_000_003, 1_000_004))
    layers = ("relu5", "relu4", "relu3")
    return Subject("demo", load_demo_network(), layers, "relu5", seen, held_out, CLASSES, 3)


def tutorial() -> Subject | None:
    """Return the network of Captum's CIFAR-10 tutorial, if its weights are there."""
    folder = data_folder()
    if folder is None:
        return None
    from safetensors.torch import load_file

    model = TutorialNet()
    model.load_state_dict(load_file(folder / "cifar10" / "captum_tutorial_cnn.safetensors"))
    data = np.load(folder / "cifar10" / "cifar10_subset.npz")
    rows = {"train": slice(None, None, 10), "test": slice(None, None, 4)}  # sorted by class
    seen, held_out = (
        (
            torch.tensor(data[f"x_{part}"][where]).permute(0, 3, 1, 2).float() / 127.5 - 1,
            torch.tensor(data[f"y_{part}"][where]).long(),
        )
        for part, where in rows.items()
    )
    layers = ("relu2", "relu3", "relu4")
    names = tuple(str(name) for name in data["classes"])
    return Subject("CIFAR-10 tutorial", model.eval(), layers, "relu3", seen, held_out, names, 4)


def agreement(subject: Subject, layer: str, distribution: Distribution) -> dict[str, object]:
    """Return the rank correlation of each score with exact mean-ablation, by picture and class."""
    cut, images, labels = Cut(layer), *(x[:: subject.stride] for x in subject.held_out)
    mean = torch.cat([activations(subject.model, x, cut) for x in subject.seen[0].split(64)]).mean(
        0
    )
    axis = Axis.ensure("channel", tuple(mean.shape))
    exact = torch.cat(
        [_ablated(subject.model, cut, x, y, mean, axis) for x, y in _batches(images, labels)]
    )
    scores = _scores(subject.model, cut, images, labels, mean, axis, distribution)
    return {
        "by picture": {name: _spearman(values, exact) for name, values in scores.items()},
        "by class": {
            name: _spearman(_by_class(values, labels), _by_class(exact, labels))
            for name, values in scores.items()
        },
        "by picture, sizes": {
            name: _spearman(values.abs(), exact.abs()) for name, values in scores.items()
        },
    }


def experts(subject: Subject) -> list[ExpertCurves]:
    """Return the curves of all rankings for each class, ranked on seen and tried on held-out."""
    seen, held_out = (_batches(*part) for part in (subject.seen, subject.held_out))
    found = []
    for target in range(len(subject.classes)):
        rankings = class_rankings(subject.model, seen, subject.expert_layer, target)
        found.append(
            expert_curves(
                subject.model,
                held_out,
                subject.expert_layer,
                target,
                rankings,
                class_names=subject.classes,
            )
        )
    return found


def _batches(images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(images.split(64), labels.split(64), strict=True))


def _ablated(
    model: nn.Module, cut: Cut, images: Tensor, labels: Tensor, mean: Tensor, axis: Axis
) -> Tensor:
    """Return how much the label's score falls if a unit is its mean: (examples, units)."""
    columns = []
    rows = torch.arange(len(images))
    with reruns(model, cut, images) as runs:
        for unit in range(mean.shape[axis.keep[0]]):
            changed = runs.activations.clone()
            where = (slice(None), *axis.selector((unit,)))
            changed[where] = mean[axis.selector((unit,))]
            columns.append((runs.scores - runs.answer(changed))[rows, labels])
    return torch.stack(columns, dim=1)


def _scores(
    model: nn.Module,
    cut: Cut,
    images: Tensor,
    labels: Tensor,
    mean: Tensor,
    axis: Axis,
    distribution: Distribution,
) -> Mapping[str, Tensor]:
    """Return what each ranking goes by, (examples, units) each."""
    measure = DistributionalInfluence(
        model, cut, distribution=distribution, quantity=ClassScore(labels)
    )
    influence = measure.attribute(images)
    z = activations(model, images, cut)
    values = {"contribution": influence * (z - mean), "influence": influence, "activation": z}
    return {name: axis.pool(value) for name, value in values.items()}


def _by_class(values: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([values[labels == c].mean(dim=0) for c in labels.unique()])


def _spearman(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Return mean and standard error over rows of Spearman's correlation, ties averaged."""
    ranks = [torch.tensor(np.stack([_ranks(row) for row in x.numpy()])) for x in (a, b)]
    centred = [r - r.mean(dim=1, keepdim=True) for r in ranks]
    norm = (centred[0].norm(dim=1) * centred[1].norm(dim=1)).clamp(min=1e-12)
    rho = (centred[0] * centred[1]).sum(dim=1) / norm
    return round(float(rho.mean()), 3), round(float(rho.std() / len(rho) ** 0.5), 3)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _f1_table(curves: list[ExpertCurves]) -> dict[str, object]:
    """Return F1 against k, averaged over the classes, for each ranking."""
    ks = curves[0].ks
    table = {
        name: [
            round(float(np.mean([c.curve("f1", name)[i] for c in curves])), 3)
            for i in range(len(ks))
        ]
        for name in curves[0].counts
    }
    whole = round(float(np.mean([c.whole.f1 for c in curves])), 3)
    return {"k": ks, "whole network": whole, **table}


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())

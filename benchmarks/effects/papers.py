"""``python -m benchmarks.effects.papers``: claims of the papers that no other script measures.

On the network of Captum's CIFAR-10 tutorial. First, do influential units generalise across
instances: the share of the ten first units that two pictures have in common, of the same class, of
different ones, and of different ones asked about the same class's score. Second, how much each
method's answer depends on the weights: its rank correlation with itself once the last layer, and
once all layers, are permuted. Third, how well maps agree with Shapley values of patches. Intervals
are 95 % by bootstrap over pictures. Needs the data of CAPTUM_INFLUENCE_DATA (or ../shared/data).
``--out FOLDER`` keeps the numbers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from benchmarks.effects.bootstrap import interval
from benchmarks.provenance import keep
from benchmarks.trained import Subject, tutorial
from captum_influence import (
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    LinearPath,
    Point,
)
from captum_influence.attr import Midpoint
from captum_influence.metrics import randomize
from captum_influence.metrics.ranks import spearman
from captum_influence.network.reading import activations
from captum_influence.training.bias.shapley import SampledShapley

CLASSES, FIRST = 10, 10
SIDE, PATCH = 32, 8  # of a picture, of a patch
MAPS_AT = "relu2"
Row = dict[str, Any]
Explain = Callable[[nn.Module, Tensor], Tensor]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the rows, and keep them if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.papers", description=__doc__
    )
    parser.add_argument("--images", type=int, default=200, help="of the 200 test pictures")
    parser.add_argument("--points", type=int, default=50, help="of the path")
    parser.add_argument("--draws", type=int, default=3, help="permutations of the weights")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    subject = tutorial()
    if subject is None:
        print("no real data: set CAPTUM_INFLUENCE_DATA")
        return 0
    every = max(len(subject.images) // asked.images, 1)
    subject = Subject(
        subject.name, subject.model, subject.images[::every], subject.labels[::every], ()
    )
    found = {
        "generalising": [
            row for z in ("relu3", "relu4") for row in units(subject, z, asked.points)
        ],
        "weights": list(weights(subject, asked.draws)),
        "shapley": list(shapley(subject)),
    }
    for row in (row for rows in found.values() for row in rows):
        print(json.dumps(row), flush=True)
    keep(asked.out and asked.out / "papers.json", {"pictures": len(subject.images), **found})
    return 0


def units(subject: Subject, layer: str, points: int) -> Iterator[Row]:
    """Yield, for each ranking of a layer's units, how many of the first ones pictures share."""
    z = torch.cat([activations(subject.model, x, Cut(layer)) for x in subject.images.split(64)])
    slope = _influence(subject, layer, Point())
    rankings = {
        "influence, point": slope,
        "influence, path": _influence(subject, layer, LinearPath(0.0, points, Midpoint())),
        "contribution, point × (z − mean)": slope * (z - z.mean(dim=0)),
        "activation": z.expand_as(slope),
        "random": torch.rand(slope.shape, generator=torch.Generator().manual_seed(0)),
    }
    for name, values in rankings.items():
        shared = _shared(values, subject.labels)
        yield {"layer": layer, "units": z.shape[1], "ranked by": name, **shared}


def _influence(subject: Subject, layer: str, distribution: Distribution) -> Tensor:
    """Return the influence on the score of each class (classes, pictures, units)."""
    measure = DistributionalInfluence(
        subject.model,
        layer,
        distribution=distribution,
        quantity=[ClassScore(k) for k in range(CLASSES)],
    )
    return torch.cat([measure.attribute(x).detach() for x in subject.images.split(20)], dim=1)


def _shared(values: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Return the mean share of the first units in common with other pictures, over pictures."""
    first = torch.zeros_like(values, dtype=torch.bool)
    first.scatter_(2, values.topk(FIRST, dim=2).indices, value=True)
    rows = torch.arange(len(labels))
    own = first[labels, rows].float()  # each picture asked about its own class
    same = (labels[:, None] == labels).float().fill_diagonal_(0)
    other = (labels[:, None] != labels).float()
    asked_alike = torch.einsum("ju,jiu->ji", own, first[labels].float())
    pairs = {
        "same class": (own @ own.T, same),
        "other class": (own @ own.T, other),
        "other class, same score": (asked_alike, other),
    }
    return {
        name: interval(((found * among).sum(1) / among.sum(1) / FIRST).tolist())
        for name, (found, among) in pairs.items()
    }


def weights(subject: Subject, draws: int, count: int = 100) -> Iterator[Row]:
    """Yield how alike each method's answers are once weights are permuted."""
    images = subject.images[:: max(len(subject.images) // count, 1)]
    with torch.no_grad():
        said = subject.model(images).argmax(dim=1)
    for name, explain in _methods(said).items():
        runs = [
            randomize(subject.model, images, explain, absolute=False, seed=seed).similarity
            for seed in range(draws)
        ]
        mean = torch.stack(runs).mean(dim=0)  # (1 + layers, pictures)
        yield {
            "method": name,
            "pictures": len(images),
            "last layer": interval(mean[1].tolist()),
            "all layers": interval(mean[-1].tolist()),
        }


def _methods(said: Tensor) -> dict[str, Explain]:
    """Return what each method answers about the classes that the trained network says."""
    own = {
        "influence of units, `relu3`": lambda model, x: _units(model, x, said, multiply=False),
        "influence × z of units, `relu3`": lambda model, x: _units(model, x, said, multiply=True),
        "layer map, `relu2`": lambda model, x: _layer_map(model, x, said),
        "Grad-CAM, `relu2`": lambda model, x: _grad_cam(model, x, said),
    }
    captums = {
        name: lambda model, x, of=of: of(model).attribute(x, target=said).detach()
        for name, of in _CAPTUM.items()
    }
    return own | captums


def shapley(subject: Subject, count: int = 50) -> Iterator[Row]:
    """Yield each map's rank correlation with the Shapley values of a picture's 16 patches."""
    images = subject.images[:: max(len(subject.images) // count, 1)]
    with torch.no_grad():
        said = subject.model(images).argmax(dim=1)
    first, second = (
        _patches(SampledShapley(PATCH, samples=50, seed=seed).maps(subject.model, images, said))
        for seed in (0, 1)
    )
    yield _agreement("Shapley values, drawn anew", second, first)
    maps = {
        "layer map, `relu2`": _layer_map(subject.model, images, said),
        "Grad-CAM, `relu2`": _grad_cam(subject.model, images, said),
        **{
            name: _CAPTUM[name](subject.model).attribute(images, target=said)
            for name in ("IntegratedGradients", "InputXGradient", "Saliency", "GuidedBackprop")
        },
        "Occlusion": Occlusion(subject.model).attribute(
            images, (3, PATCH, PATCH), strides=(3, PATCH, PATCH), target=said
        ),
        "random": torch.rand(images.shape, generator=torch.Generator().manual_seed(0)),
    }
    for name, values in maps.items():
        yield _agreement(name, _patches(values.detach()), first)


def _agreement(name: str, values: Tensor, truth: Tensor) -> Row:
    alike = interval(spearman(values.double(), truth.double()).tolist())
    return {"method": name, "pictures": len(truth), "rank correlation": alike}


def _patches(values: Tensor) -> Tensor:
    """Return the means of a map over patches (pictures, patches)."""
    planes = values.reshape(len(values), -1, *values.shape[-2:]).sum(dim=1, keepdim=True)
    if planes.shape[-1] != SIDE:  # a layer's map
        planes = interpolate(planes, size=SIDE, mode="bilinear", align_corners=False)
    return avg_pool2d(planes, PATCH).flatten(1)


def _units(model: nn.Module, images: Tensor, said: Tensor, *, multiply: bool) -> Tensor:
    measure = DistributionalInfluence(
        model, "relu3", distribution=Point(), multiply_by_inputs=multiply
    )
    found: Tensor = measure.attribute(images, target=said)
    return found.detach()


def _layer_map(model: nn.Module, images: Tensor, said: Tensor) -> Tensor:
    measure = DistributionalInfluence(model, MAPS_AT, distribution=Point(), multiply_by_inputs=True)
    found: Tensor = measure.attribute(images, target=said)
    return found.detach().sum(dim=1)


def _grad_cam(model: nn.Module, images: Tensor, said: Tensor) -> Tensor:
    layer = model.get_submodule(MAPS_AT)
    found: Tensor = LayerGradCam(model, layer).attribute(
        images, target=said, relu_attributions=True
    )
    return found.detach()


_CAPTUM: dict[str, Callable[[nn.Module], Any]] = {
    "Saliency": Saliency,
    "InputXGradient": InputXGradient,
    "IntegratedGradients": IntegratedGradients,
    "GuidedBackprop": GuidedBackprop,
    "Deconvolution": Deconvolution,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())

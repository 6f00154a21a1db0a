"""``python -m benchmarks.effects.rankings``: does a ranking say what the removal of units does?

For each picture, Spearman's correlation over a layer's units of what a ranking says of each with
what is lost of the predicted class's score when that unit alone is removed, with zero and with its
mean over other pictures in its place. The default is what ``rank_layers`` and ``explain`` do with
the same ``replace=``; beside it are other measures, Captum's own by Captum. Intervals are 95 % by
bootstrap over pictures. Needs the data of CAPTUM_INFLUENCE_DATA (or ../shared/data). ``--out
FOLDER`` keeps the numbers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from captum.attr import LayerConductance, LayerDeepLift, LayerIntegratedGradients
from torch import Tensor, nn

from benchmarks.effects.bootstrap import interval
from benchmarks.provenance import keep
from benchmarks.trained import Subject, add_network, asked_network, tutorial
from captum_influence import ClassScore, DistributionalInfluence, LinearPath, Point, rank_layers
from captum_influence.attr import Midpoint
from captum_influence.metrics.ranks import spearman
from captum_influence.metrics.unit_removal import removing_units
from captum_influence.network.cuts import Cut
from captum_influence.network.reading import activations
from captum_influence.units import MeanActivation, Replacement
from captum_influence.units.options import Chosen
from captum_influence.units.replacement import Constant

DEFAULT = "the default, same replace="


@dataclass(frozen=True)
class Asked:
    """One layer: how many pictures, how many of its units are removed, and points of paths."""

    network: str
    layer: str
    pictures: int
    units: int
    points: int


LAYERS = (
    Asked("cifar", "relu2", 100, 16, 50),
    Asked("cifar", "relu3", 100, 120, 50),
    Asked("cifar", "relu4", 100, 84, 50),
    Asked("squeezenet", "features.12", 24, 512, 10),
    Asked("squeezenet", "features.9", 12, 80, 10),
    Asked("squeezenet", "features.5", 10, 48, 10),
)


def main(arguments: list[str] | None = None) -> int:
    """Measure every layer, print what was found, and keep it if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.rankings", description=__doc__
    )
    parser.add_argument("--network", choices=("squeezenet", "cifar"), help="one of them only")
    add_network(parser)
    parser.add_argument("--layers", nargs="+", help="of that network")
    parser.add_argument("--images", type=int, default=100, help="at most, for each layer")
    parser.add_argument("--seed", type=int, default=0, help="of the units that are drawn")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    layers = [Asked("own", layer, 24, 64, 10) for layer in asked.layers or ()] or LAYERS
    other = asked_network(asked, 117)
    subjects = {"cifar": tutorial(), "squeezenet": other, "own": other}
    rows = []
    for one in layers:
        subject = subjects[one.network]
        if subject is None:
            print("no real data: set CAPTUM_INFLUENCE_DATA")
            return 0
        if asked.network in (None, one.network):
            rows += measured(subject, one, min(one.pictures, asked.images), asked.seed)
            for row in rows[-2:]:
                print(json.dumps(row), flush=True)
    keep(asked.out and asked.out / "rankings.json", {"rows": rows})
    return 0


def measured(subject: Subject, one: Asked, pictures: int, seed: int) -> list[dict[str, Any]]:
    """Return what each ranking is worth at a layer, for each of the two removals."""
    cut, every = Cut(one.layer), len(subject.images) // pictures
    chosen = list(range(0, every * pictures, every))
    others = [i for i in range(len(subject.images)) if i not in set(chosen)] or chosen
    mean = MeanActivation.of(
        activations(subject.model, x, cut) for x in subject.images[others].split(16)
    )
    removals: dict[str, Replacement] = {"zero": Constant(torch.zeros(())), "mean": mean}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in removals}
    generator = torch.Generator().manual_seed(seed)
    for i in chosen:
        image = subject.images[i : i + 1]
        with torch.no_grad():
            said = int(subject.model(image).argmax())
        rankings = dict(_rankings(subject.model, image, one, said, mean, generator))
        units = torch.randperm(len(rankings["activation"]), generator=generator)[: one.units]
        for name, removal in removals.items():
            own = rank_layers(subject.model, image, [one.layer], said, replace=removal)
            known = {DEFAULT: own.layers[one.layer].values.flatten(), **rankings}
            lost = _lost(subject.model, image, one.layer, said, removal, units)
            found[name].append(
                {m: float(spearman(v[units].double(), lost)) for m, v in known.items()}
            )
    return [
        {
            "network": subject.name,
            "layer": one.layer,
            "replace": name,
            "pictures": len(rows),
            "units": one.units,
            "points": one.points,
            "rho": {m: interval([row[m] for row in rows]) for m in rows[0]},
            "better than the default by": {
                m: interval([row[m] - row[DEFAULT] for row in rows]) for m in rows[0]
            },
        }
        for name, rows in found.items()
    ]


def _lost(
    model: nn.Module, image: Tensor, layer: str, said: int, removal: Replacement, units: Tensor
) -> Tensor:
    """Return what is lost of the score without each unit alone, float64 (units,)."""
    chosen = Chosen.of("rankings", layer, {"internal_batch_size": 16})
    with removing_units(model, image, ClassScore(said), removal, chosen) as removed:
        gone = torch.zeros(len(units), removed.features, dtype=torch.bool)
        gone[torch.arange(len(units)), units] = True
        return (removed.quantity.double() - removed.without(gone[None]).double())[0]


def _rankings(
    model: nn.Module,
    image: Tensor,
    one: Asked,
    said: int,
    mean: MeanActivation,
    generator: torch.Generator,
) -> Iterator[tuple[str, Tensor]]:
    """Yield what each measure says of a layer's units (units,)."""
    here = activations(model, image, Cut(one.layer))
    slope = DistributionalInfluence(model, one.layer, distribution=Point())
    influence = slope.attribute(image, target=said)
    path = LinearPath(0.0, one.points, Midpoint())
    along = DistributionalInfluence(model, one.layer, distribution=path, multiply_by_inputs=True)
    yield "point × z", _pooled(influence * here)
    yield "point × (z − mean)", _pooled(influence * (here - mean.like(here)))
    yield "path × (z − z(0))", _pooled(along.attribute(image, target=said))
    for name, values in _captums(model, image, one, said).items():
        yield name, _pooled(values)
    yield "Grad-CAM weight × activation", _pooled(influence) * _pooled(here)
    yield "influence", _pooled(influence)
    yield "activation", _pooled(here)
    yield "random", torch.rand(here.shape[1], generator=generator)


def _captums(model: nn.Module, image: Tensor, one: Asked, said: int) -> Mapping[str, Tensor]:
    """Return what Captum's measures of layers say."""
    module, path = model.get_submodule(one.layer), {"n_steps": one.points}
    rows = {"internal_batch_size": 10, "target": said}
    found = {
        "conductance": LayerConductance(model, module).attribute(image, **path, **rows),
        "layer integrated gradients": LayerIntegratedGradients(model, module).attribute(
            image, **path, **rows
        ),
    }
    if one.network == "cifar":  # the ReLUs of SqueezeNet are functions, which it wouldn't see
        found["DeepLift"] = LayerDeepLift(model, module).attribute(image, target=said)
    return found


def _pooled(values: Tensor) -> Tensor:
    """Add up the places of one example's units."""
    return values.detach().reshape(values.shape[1], -1).sum(dim=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())

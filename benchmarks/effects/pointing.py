"""``python -m benchmarks.effects.pointing``: does the top unit look where twins differ?

Coupe and convertible differ in the roof, sailboat and motorboat in the sail. For each picture and
layer the unit is taken that ranks first, for the comparative quantity, score(class) − score(twin),
and for the plain class score; its input influence is drawn as ``explain`` draws it; and it counts
whether the map's largest entry lies on the part (Zhang et al. 2016). Beside it, Captum's Grad-CAM,
integrated gradients and input × gradient with both quantities; how often the answer becomes the
twin when that one unit is set to zero; and where the first 1, 3 and 8 units together look.
``--out FOLDER`` keeps the numbers. ``--weights FILE ...`` asks other networks instead, trained by
``python -m captum_influence.demo.recipe --seed N --out FILE``: the coupe only, at the point.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from captum.attr import InputXGradient, IntegratedGradients, LayerAttribution, LayerGradCam
from torch import Tensor, nn
from torch.nn.functional import one_hot

from benchmarks.provenance import keep
from captum_influence import (
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    LinearPath,
    Point,
    Quantity,
)
from captum_influence.attr import Midpoint
from captum_influence.demo import CLASSES, load_demo_network, make_scene
from captum_influence.metrics import localize
from captum_influence.network.reading import activations
from captum_influence.network.substitution import reruns
from captum_influence.visualization.blur import gaussian_blur

LAYERS = ("relu1", "relu2", "relu3", "relu4", "relu5")
POINT, PATH = Point(), LinearPath(0.0, 8, Midpoint())
TWINS = (
    ("coupe", "convertible", (POINT, PATH)),
    ("convertible", "coupe", (POINT, PATH)),
    ("sailboat", "motorboat", (POINT,)),
    ("motorboat", "sailboat", (POINT,)),
)
SMOOTHING = 2.0  # pixels: 1/32 of the side, as ``explain`` smooths its maps
SEED = 50_000  # of the first scene; the network was trained on others
Row = dict[str, object]


@dataclass(frozen=True, eq=False)
class Subject:
    """The demo network, scenes of one class, and where these differ from the twin's."""

    model: nn.Module
    images: Tensor
    parts: Tensor
    rest: Tensor  # of the object
    target: int
    twin: int

    @staticmethod
    def of(name: str, twin: str, count: int, weights: Path | None = None) -> Subject:
        """Draw the scenes."""
        scenes = [make_scene(name, seed=SEED + i) for i in range(count)]
        return Subject(
            load_demo_network(weights),
            torch.stack([scene.image for scene in scenes]),
            torch.stack([scene.masks["part"] for scene in scenes]),
            torch.stack([scene.masks["object"] & ~scene.masks["part"] for scene in scenes]),
            CLASSES.index(name),
            CLASSES.index(twin),
        )

    def quantities(self) -> dict[str, Quantity]:
        """Return what is asked: for one class rather than its twin, or for the class alone."""
        plain = ClassScore(self.target)
        return {"comparative": plain - ClassScore(self.twin), "class score": plain}

    @property
    def bears_the_part(self) -> bool:
        """Whether the part is there to be seen; in the twin it is missing."""
        return CLASSES[self.target] in ("coupe", "sailboat")

    def elsewhere(self, maps: Tensor) -> float:
        """Return how often the largest entry of smoothed maps is on the rest of the object."""
        smooth = gaussian_blur(maps, SMOOTHING)
        return float(localize(smooth, self.rest).pointing.nan_to_num().mean())

    def hits(self, maps: Tensor) -> dict[str, float]:
        """Return how often the largest entry of maps (examples, height, width) is on the part."""
        smooth = gaussian_blur(maps, SMOOTHING)
        return {
            name: float(localize(values, self.parts).pointing.nan_to_num().mean())
            for name, values in (("smoothed", smooth), ("raw", maps))
        }


@dataclass(frozen=True, eq=False)
class Weighed(Quantity):
    """For each example, entries of a layer weighed by (examples, ...), added up."""

    weights: Tensor

    def __call__(self, output: Tensor) -> Tensor:
        return (output * self.weights).flatten(1).sum(dim=1)

    @property
    def examples(self) -> int | None:
        return len(self.weights)

    def rows(self, examples: Tensor) -> Quantity:
        return Weighed(self.weights[examples])


def main(arguments: list[str] | None = None) -> int:
    """Measure each pair, print the rows, and keep the numbers if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.pointing", description=__doc__
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--weights", type=Path, nargs="+", metavar="FILE")
    asked = parser.parse_args(arguments)
    if asked.weights:
        rows = [row for file in asked.weights for row in _other_network(file, asked.images)]
        keep(asked.out and asked.out / "pointing_networks.json", {"rows": rows})
        return 0
    rows = []
    for name, twin, distributions in TWINS:
        subject = Subject.of(name, twin, asked.images)
        about = {"class": name, "twin": twin, "images": asked.images, "chance": _chance(subject)}
        for found in _rows(subject, distributions):
            rows.append({**about, **found})
            print(json.dumps(rows[-1]), flush=True)
    keep(asked.out and asked.out / "pointing.json", {"rows": rows})
    return 0


def _other_network(weights: Path, count: int) -> Iterator[Row]:
    subject = Subject.of("coupe", "convertible", count, weights)
    with torch.no_grad():
        right = float((subject.model(subject.images).argmax(1) == subject.target).double().mean())
    about = {"network": weights.stem, "images": count, "right": right, "over": "point"}
    for quantity, influences in _influences(subject, POINT).items():
        for layer, chi in influences.items():
            for row in _unit_rows(subject, layer, chi, POINT):
                yield {**about, "quantity": quantity, "layer": layer, **row}
                print(
                    json.dumps({**about, "quantity": quantity, "layer": layer, **row}), flush=True
                )


def _chance(subject: Subject) -> float:
    return float(subject.parts.double().mean())


def _rows(subject: Subject, distributions: tuple[Distribution, ...]) -> Iterator[Row]:
    for distribution in distributions:
        over = "point" if distribution is POINT else "path"
        for quantity, influences in _influences(subject, distribution).items():
            for layer, chi in influences.items():
                for row in _unit_rows(subject, layer, chi, distribution):
                    yield {"over": over, "quantity": quantity, "layer": layer, **row}
    for quantity, asked in subject.quantities().items():
        for method, maps in _pixel_methods(subject, asked).items():
            yield {"quantity": quantity, "method": method, **subject.hits(maps)}
    if subject.bears_the_part:
        yield from _several_rows(subject)


def _several_rows(subject: Subject) -> Iterator[Row]:
    """Yield where the first few units by contribution look together, at the point itself."""
    for quantity, influences in _influences(subject, POINT).items():
        for layer, chi in influences.items():
            z = activations(subject.model, subject.images, Cut(layer))
            values = (chi * z).sum(dim=(2, 3))
            ranks = values.argsort(dim=1, descending=True).argsort(dim=1)[:, :, None, None]
            counts = (1, 3, 8)
            maps = _maps(subject, layer, [chi * (ranks < k) for k in counts], POINT)
            positive = values.clamp(min=0)
            share = float((positive.amax(dim=1) / positive.sum(dim=1)).mean())
            for count, pixels in zip(counts, maps, strict=True):
                about = {"quantity": quantity, "layer": layer, "units": count, "share": share}
                yield {**about, **subject.hits(pixels), "rest": subject.elsewhere(pixels)}


def _influences(subject: Subject, distribution: Distribution) -> dict[str, dict[str, Tensor]]:
    """Return the influences (examples, channels, height, width) by quantity and layer."""
    asked = subject.quantities()
    measure = DistributionalInfluence(
        subject.model, list(LAYERS), distribution=distribution, quantity=list(asked.values())
    )
    found = measure.attribute(subject.images)
    return {
        name: {layer: values[place] for layer, values in zip(LAYERS, found, strict=True)}
        for place, name in enumerate(asked)
    }


def _unit_rows(
    subject: Subject, layer: str, chi: Tensor, distribution: Distribution
) -> Iterator[Row]:
    """Yield a row for each way to rank units, and each thing a map may show of the first."""
    z = activations(subject.model, subject.images, Cut(layer))
    origin = distribution.reference((subject.images,))
    moved = z if origin is None else z - activations(subject.model, origin[0], Cut(layer))
    for by, values in (("influence", chi), ("contribution", chi * moved)):
        top = values.sum(dim=(2, 3)).argmax(dim=1)
        chosen = one_hot(top, z.shape[1])[:, :, None, None].to(z)
        common = int(top.mode().values)
        about = {
            "by": by,
            "most frequent": common,
            "its share": float((top == common).double().mean()),
            "becomes the twin": _flips(subject, layer, chosen),
        }
        both = {"unit": chosen.expand_as(z), "quantity": chosen * chi}
        maps = _maps(subject, layer, list(both.values()), distribution)
        for focus, pixels in zip(both, maps, strict=True):
            yield {**about, "focus": focus, **subject.hits(pixels)}


def _maps(
    subject: Subject, layer: str, weights: list[Tensor], distribution: Distribution
) -> Tensor:
    """Return what each pixel does to the weighed units: (weights, examples, height, width)."""
    measure = DistributionalInfluence(
        subject.model,
        Cut(subject.model, "input"),
        distribution=distribution,
        quantity=[Weighed(each) for each in weights],
        measure_at=Cut(layer),
    )
    pixels: Tensor = measure.attribute(subject.images)
    return (pixels * subject.images).sum(dim=2)


def _flips(subject: Subject, layer: str, chosen: Tensor) -> float:
    """Return how often the network says the twin when the chosen units are silent."""
    with reruns(subject.model, Cut(layer), subject.images) as runs:
        said = runs.answer(runs.activations * (1 - chosen)).argmax(dim=1)
    return float((said == subject.twin).double().mean())


class Asked(nn.Module):
    """The network's answer to a quantity, (examples, 1), for methods that know classes only."""

    def __init__(self, model: nn.Module, quantity: Quantity) -> None:
        super().__init__()
        self.model, self.quantity = model, quantity

    def forward(self, images: Tensor) -> Tensor:
        """Return the quantity."""
        return self.quantity(self.model(images))[:, None]


def _pixel_methods(subject: Subject, asked: Quantity) -> dict[str, Tensor]:
    """Return the maps (examples, height, width) of Captum's methods."""
    model = Asked(subject.model, asked)
    images = subject.images.clone().requires_grad_()

    def camera(layer: str) -> Callable[[], Tensor]:
        method = LayerGradCam(model, subject.model.get_submodule(layer))
        size = tuple(images.shape[-2:])
        return lambda: LayerAttribution.interpolate(
            method.attribute(images, target=0), size, "bilinear"
        )

    methods: dict[str, Callable[[], Tensor]] = {
        "Grad-CAM, relu5": camera("relu5"),
        "Grad-CAM, relu4": camera("relu4"),
        "integrated gradients": lambda: IntegratedGradients(model).attribute(
            images, target=0, n_steps=50, internal_batch_size=400
        ),
        "input × gradient": lambda: InputXGradient(model).attribute(images, target=0),
    }
    return {name: run().detach().sum(dim=1) for name, run in methods.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())

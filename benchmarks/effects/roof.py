"""``python -m benchmarks.effects.roof``: does what tells a sports car from a convertible lie there?

The figure of Leino et al. 2018 that a comparison of two classes finds the roof, asked of SqueezeNet
on one picture of each class: how much of the map of ``explain``, of its first unit and of the five
shown, lies on the roof and on the cabin (roof, windows and whoever sits behind them), and whether
its largest entry does; asked for the class rather than the other, and for the class alone. The
masks are outlines drawn by hand. Beside them integrated gradients, smoothed alike, and the masks'
area, which is what a random map has on them. Needs the data of CAPTUM_INFLUENCE_DATA (or
../shared/data). ``--out FOLDER`` keeps the numbers and a page for each picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from captum.attr import IntegratedGradients
from matplotlib.path import Path as Outline
from torch import Tensor

from benchmarks.provenance import keep
from benchmarks.trained import Subject, squeezenet
from captum_influence import Explanation, explain, localize
from captum_influence.data.labels import class_name
from captum_influence.visualization.blur import gaussian_blur

SPORTS_CAR, CONVERTIBLE = 817, 511
LAYERS = ("features.5", "features.9", "features.12")
Corners = tuple[tuple[float, float], ...]
# Corners in shares of width and height. The convertible has no roof: this is where it would be.
ROOF: dict[int, Corners] = {
    SPORTS_CAR: ((0.0, 0.2), (0.06, 0.14), (0.6, 0.14), (0.78, 0.24), (0.15, 0.24), (0.0, 0.25)),
    CONVERTIBLE: ((0.42, 0.29), (0.6, 0.14), (1.0, 0.14), (1.0, 0.32), (0.86, 0.29)),
}
CABIN: dict[int, Corners] = {
    SPORTS_CAR: ((0.0, 0.2), (0.06, 0.14), (0.6, 0.14), (0.97, 0.4), (0.2, 0.41), (0.0, 0.41)),
    CONVERTIBLE: ((0.26, 0.46), (0.42, 0.29), (0.6, 0.14), (1.0, 0.14), (1.0, 0.42), (0.78, 0.48)),
}
Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Ask of both pictures at every layer, print the rows, and keep them if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.effects.roof", description=__doc__)
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    subject = squeezenet(117)
    if subject is None:
        print("no real data: set CAPTUM_INFLUENCE_DATA")
        return 0
    rows = []
    for target, rival in ((SPORTS_CAR, CONVERTIBLE), (CONVERTIBLE, SPORTS_CAR)):
        for versus in (rival, None):
            for row in _rows(subject, asked.layers, target, versus, asked.out):
                rows.append(row)
                print(json.dumps(row), flush=True)
    keep(asked.out and asked.out / "roof.json", {"rows": rows})
    return 0


def _rows(
    subject: Subject, layers: list[str], target: int, versus: int | None, out: Path | None
) -> Iterator[Row]:
    """Yield where each layer's map lies, and integrated gradients' on the same scale."""
    image = subject.images[subject.labels == target]
    asked = "class" if versus is None else "class rather than the other"
    for layer in layers:
        found = explain(
            subject.model, image, layer, target, versus=versus, class_names=subject.names
        )
        heat = torch.stack([unit.map for unit in found.units])
        sigma = float(found.display.to_dict()["sigma"])
        about = {
            "picture": class_name(target, subject.names),
            "answered": found.predictions[0].name,
            "asked": asked,
            "layer": layer,
        }
        yield {**about, "map": "first unit", **_on(heat[0], target)}
        yield {**about, "map": "five units", **_on(heat.sum(dim=0), target)}
        yield {
            **about,
            "map": "integrated gradients",
            **_on(gaussian_blur(_pixels(subject, image, target, versus), sigma), target),
        }
        if out is not None:
            _keep_page(found, out / f"{target}_{layer}_{'versus' if versus else 'alone'}.html")


def _pixels(subject: Subject, image: Tensor, target: int, versus: int | None) -> Tensor:
    """Return integrated gradients from zero, summed over colours (height, width)."""
    method = IntegratedGradients(subject.model)
    found: Tensor = method.attribute(image, target=target, n_steps=20, internal_batch_size=4)
    if versus is not None:
        found = found - method.attribute(image, target=versus, n_steps=20, internal_batch_size=4)
    return found.detach()[0].sum(dim=0).float()


def _on(heat: Tensor, target: int) -> Row:
    """Return a map's share on roof and cabin, and whether its largest entry lies there."""
    row: Row = {}
    for name, outlines in (("roof", ROOF), ("cabin", CABIN)):
        found = localize(heat[None], _mask(outlines[target], heat.shape[-1])[None])
        row |= {name: float(found.mass), f"{name}, largest": float(found.pointing)}
        row |= {f"{name}, area": float(found.area)}
    return row


def _mask(corners: Corners, side: int) -> Tensor:
    """Return which pixels of a square picture an outline holds (side, side)."""
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    inside = Outline(corners).contains_points(torch.stack([x, y], dim=-1).reshape(-1, 2).numpy())
    return torch.from_numpy(inside).reshape(side, side)


def _keep_page(found: Explanation, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    found.to_html(file)


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())

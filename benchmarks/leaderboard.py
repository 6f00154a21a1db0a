"""``python -m benchmarks.leaderboard``: methods against ground truth, with what they get wrong.

Units: on the hand-wired networks, Spearman's rank correlation of each method's units with exact
single-unit ablation. Places: on demo scenes, how much of the map lies on the object (mass, rank)
and on the part that tells a class from its twin, and pixel flipping (ABPC, blur and mean fill, in
units of the score) beside a random map. Scenes are drawn anew for each seed; ± is the standard
error over the seeds' means. ``--out FOLDER`` keeps the numbers, the figure and the tables that the
docs include.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from captum.attr import (
    LayerActivation,
    LayerConductance,
    LayerGradientXActivation,
    LayerIntegratedGradients,
)
from torch import Tensor

from benchmarks.__main__ import machine
from captum_influence import visualization
from captum_influence.attr import DistributionalInfluence, LinearPath, Midpoint, Point
from captum_influence.demo import HandWired, handwired_networks, load_demo_network, make_scene
from captum_influence.explain import compare
from captum_influence.metrics import ablate_units, flip_pixels, localize

LAYER, PAIR, POINTS = "relu5", ("coupe", "convertible"), 25
Row = dict[str, float]


def main(arguments: list[str] | None = None) -> int:
    """Print both tables, and keep them if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    units = {n: _units(wired) for n, wired in handwired_networks().items()}
    print("Spearman with exact ablation, mean over inputs (nan: no order on either side)\n")
    by_unit = _table(_turned(units))
    print(by_unit)
    seeds = [_places(seed, asked.scenes) for seed in range(asked.seeds)]
    places = {m: {k: [s[m][k] for s in seeds] for k in seeds[0][m]} for m in seeds[0]}
    shown = {m: {k: _mean_and_error(v) for k, v in row.items()} for m, row in places.items()}
    print(f"\n{asked.scenes} scenes of {' and '.join(PAIR)}, {asked.seeds} seeds\n")
    by_place = _table(shown)
    print(by_place)
    print(f"\n{machine('cpu')}")
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        content = {"units": units, "places": places, "machine": machine("cpu")}
        (asked.out / "leaderboard.json").write_text(json.dumps(content, indent=1))
        where = ", ".join(f"{key} {value}" for key, value in machine("cpu").items())
        scope = f"{asked.scenes} scenes, {asked.seeds} seeds; {where}."
        (asked.out / "leaderboard_units.md").write_text(by_unit + "\n")
        (asked.out / "leaderboard_places.md").write_text(f"{by_place}\n\n{scope}\n")
        _draw(places, asked.out / "leaderboard.png")
    return 0


def _units(wired: HandWired) -> Row:
    """Return each method's mean agreement with ablation on one network."""
    exact = ablate_units(wired.model, wired.layer, wired.inputs, wired.target)
    found = {}
    for name, run in _unit_methods(wired).items():
        values = run().detach()
        pooled = values.flatten(2).sum(2) if values.ndim > 2 else values
        found[name] = float(exact.spearman(pooled).nanmean())
    return found


def _unit_methods(wired: HandWired) -> dict[str, Callable[[], Tensor]]:
    model, layer, inputs = wired.model, wired.layer, wired.inputs.clone().requires_grad_()
    module, target = model.get_submodule(layer), wired.target
    path = LinearPath(0, 100, Midpoint())

    def ours(distribution: Any, multiply: bool) -> Callable[[], Tensor]:
        method = DistributionalInfluence(
            model, layer, distribution=distribution, multiply_by_inputs=multiply
        )
        return lambda: method.attribute(wired.inputs, target=target)

    def theirs(method: Any, **settings: Any) -> Callable[[], Tensor]:
        return lambda: method(model, module).attribute(inputs, **settings)

    return {
        "influence, point": ours(Point(), False),
        "influence, path": ours(path, False),
        "influence, path × change": ours(path, True),
        "LayerGradientXActivation": theirs(LayerGradientXActivation, target=target),
        "LayerIntegratedGradients": theirs(LayerIntegratedGradients, target=target),
        "LayerConductance": theirs(LayerConductance, target=target),
        "LayerActivation": theirs(LayerActivation),
    }


def _places(seed: int, count: int) -> dict[str, Row]:
    """Return each method's scores on scenes drawn from one seed."""
    model = load_demo_network()
    generator = torch.Generator().manual_seed(seed)
    scenes = [make_scene(PAIR[i % 2], seed=1000 * (seed + 1) + i) for i in range(count)]
    images = torch.stack([scene.image for scene in scenes])
    labels = [scene.label for scene in scenes]
    maps = dict(compare(model, images, LAYER, labels, points=POINTS, seed=seed).maps)
    maps["random"] = torch.rand(maps["Saliency"].shape, generator=generator)
    masks = {
        name: torch.stack([scene.masks[name] for scene in scenes]) for name in ("object", "part")
    }
    return {name: _scores(model, images, labels, values, masks) for name, values in maps.items()}


def _scores(
    model: torch.nn.Module,
    images: Tensor,
    labels: list[int],
    values: Tensor,
    masks: dict[str, Tensor],
) -> Row:
    on = {name: localize(values, mask) for name, mask in masks.items()}
    flipped = flip_pixels(model, images, values, labels, patch=4, steps=16, draws=1)
    return {
        "object: mass": float(on["object"].mass.nanmean()),
        "object: rank": float(on["object"].rank.mean()),
        "part: rank": float(on["part"].rank.mean()),
        "ABPC blur": float(flipped.abpc("blur").mean()),
        "ABPC mean": float(flipped.abpc("mean").mean()),
    }


def _mean_and_error(values: list[float]) -> str:
    numbers = torch.tensor(values)
    error = float(numbers.std()) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{float(numbers.mean()):.2f} ± {error:.2f}"


def _turned(rows: dict[str, Row]) -> dict[str, dict[str, str]]:
    methods = next(iter(rows.values()))
    return {m: {name: f"{row[m]:.2f}" for name, row in rows.items()} for m in methods}


def _table(rows: dict[str, dict[str, str]]) -> str:
    columns = list(next(iter(rows.values())))
    lines = [["method", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *row.values()] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _draw(places: dict[str, dict[str, list[float]]], file: Path) -> None:
    order = sorted(places, key=lambda m: -sum(places[m]["ABPC blur"]))
    means = [sum(places[m]["ABPC blur"]) / len(places[m]["ABPC blur"]) for m in order]
    figure = visualization.unit_bars(order, means, unit="ABPC, blurred: higher is better")
    file.write_bytes(visualization.png(figure))


if __name__ == "__main__":
    raise SystemExit(main())

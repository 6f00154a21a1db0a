"""Maps, held against masks and the removal of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.effects.leaderboard.units import HOUSE, contrast, ordering_scores
from captum_influence import ClassScore, LinearPath, Quantity, compare, explain
from captum_influence.attr import Midpoint
from captum_influence.demo import (
    load_demo_network,
    load_shortcut_network,
    make_scene,
    misled_scenes,
)
from captum_influence.metrics import flip_pixels, localize, pixel_orderings
from captum_influence.metrics.blobs import centre_prior

LAYER, PAIR, POINTS = "relu5", ("coupe", "convertible"), 25
UNITS = "influence, through 3 units"
Scores = dict[str, float]


def on_scenes(*, seed: int, count: int) -> dict[str, Scores]:
    """Score maps of the demo network's answers on scenes drawn from one seed."""
    model = load_demo_network()
    scenes = [make_scene(PAIR[i % 2], seed=1000 * (seed + 1) + i) for i in range(count)]
    images, labels = torch.stack([s.image for s in scenes]), [s.label for s in scenes]
    masks = {n: torch.stack([scene.masks[n] for scene in scenes]) for n in ("object", "part")}
    maps = _maps(model, LAYER, images, labels, seed, POINTS)
    own = [_through_units(model, LAYER, s.image, ClassScore(s.label)) for s in scenes]
    maps[UNITS] = torch.cat(own)
    found = {}
    for name, values in maps.items():
        on = {part: localize(values, mask) for part, mask in masks.items()}
        found[name] = {
            "object: mass": float(on["object"].mass.nanmean()),
            "object: rank": float(on["object"].rank.mean()),
            "part: rank": float(on["part"].rank.mean()),
            **_removal(model, images, values, labels, ("blur", "mean"), patch=4, steps=16),
        }
    return found


def on_pictures(
    model: nn.Module,
    layer: str,
    images: Tensor,
    *,
    seed: int,
    patch: int,
    steps: int,
    points: int,
) -> dict[str, Scores]:
    """Score maps of a network's own answers where no mask is known."""
    with torch.no_grad():
        said = model(images).argmax(1).tolist()
    maps = _maps(model, layer, images, said, seed, points)
    return {
        name: _removal(model, images, values, said, ("mean",), patch=patch, steps=steps)
        for name, values in maps.items()
    }


def on_shortcut(layer: str, *, seed: int, count: int) -> dict[str, Scores]:
    """Say how much of each map of score(wrong) − score(right) lies on the fence that caused it."""
    model, rows = load_shortcut_network(), []
    scenes = misled_scenes(model, count, seed=seed)
    for i, scene in enumerate(scenes):
        asked, image = contrast(model, scene.label), scene.image[None]
        maps = _maps(asked, f"network.{layer}", image, [0], seed + 1000 * i, POINTS)
        question = ClassScore(HOUSE) - ClassScore(scene.label)
        rows.append({**maps, UNITS: _through_units(model, layer, scene.image, question)})
    mask = torch.stack([scene.masks["shortcut"] for scene in scenes])
    found = {}
    for name in rows[0]:
        on = localize(torch.cat([row[name] for row in rows]), mask)
        found[name] = {
            "fence: mass": float(on.mass.nanmean()),
            "fence: rank": float(on.rank.mean()),
            "fence: pointing": float(on.pointing.nanmean()),
        }
    return found


def _through_units(model: nn.Module, layer: str, image: Tensor, question: Quantity) -> Tensor:
    """Return what pixels do through the first units of a layer, (1, 1, height, width)."""
    path = LinearPath(0, POINTS, Midpoint())
    found = explain(model, image, layer, quantity=question, distribution=path, top=3, overlay=False)
    return torch.stack([unit.map for unit in found.units]).sum(0)[None, None]


def _maps(
    model: nn.Module, layer: str, images: Tensor, target: list[int], seed: int, points: int
) -> dict[str, Tensor]:
    found = dict(compare(model, images, layer, target, points=points, seed=seed).maps)
    generator = torch.Generator().manual_seed(seed)
    shape = next(iter(found.values())).shape
    blob = centre_prior(*shape[-2:]).expand(shape)
    return {**found, "centre prior": blob, "random": torch.rand(shape, generator=generator)}


def _removal(
    model: nn.Module,
    images: Tensor,
    values: Tensor,
    target: Sequence[int],
    fills: tuple[str, ...],
    *,
    patch: int,
    steps: int,
) -> Scores:
    settings = {"patch": patch, "steps": steps}
    flipped = flip_pixels(model, images, values, target, replace=fills, draws=1, **settings)
    scores = {f"ABPC {fill}": float(flipped.abpc(fill).mean()) for fill in fills}
    ordered = pixel_orderings(model, images, values, target, replace=fills[-1], **settings)
    return {**scores, **ordering_scores(ordered)}

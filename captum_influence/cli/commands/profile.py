"""``captum-influence profile``: which units a class rests on, over a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from captum_influence.attr.distributions import Distribution, Noise, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import StratifiedPath
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quantities import Quantity
from captum_influence.cli.inputs import Network, left_out, loader_of
from captum_influence.cli.options import (
    NetworkOptions,
    OutputOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.cli.syntax.data_sets import ProfileOptions
from captum_influence.data.folders import PictureFolder
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scenes import SceneDataset
from captum_influence.network.cuts import Cut
from captum_influence.units.replacement import Replacement
from captum_influence.units.targets import question as asked_for

__all__ = ["run"]

_DEMO_LAYERS, _DEMO_SCENES = ["relu4", "relu5"], 160
_POINTS = 4  # of each picture


def run(
    network: NetworkOptions,
    preprocessing: PreprocessingOptions,
    options: ProfileOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Profile, write what was found, and print the top units.

    Raises:
        ValueError: if options are missing, out of range, or don't go together.
    """
    _check(network, options)
    report, known = Report.claim(output, InfluenceProfile), Network.of(network, preprocessing)
    loader, groups = _pictures(known, options)
    quantity = _quantity(known, options, loader.dataset[0][0])
    layers = options.layers or _DEMO_LAYERS
    influence = DistributionalInfluence(
        known.model,
        layers,
        distribution=_distribution(options, seed.seed),
        quantity=quantity,
        multiply_by_inputs=options.by == "contribution",
        displacement=[_instead(options, known, layer, loader, seed.seed) for layer in layers],
    )

    def folder(inputs: object, labels: Tensor | None) -> list[str]:
        return [groups[i] for i in labels.tolist()]  # type: ignore[union-attr]  # folders label

    profile = InfluenceProfile.over(
        influence,
        loader,
        group_by=folder,
        aggregate=options.aggregate,
        checkpoint=options.checkpoint,
        show_progress=output.show_progress,
    )
    asked = quantity.in_words(known.names)
    profile = replace(profile, facts={**profile.facts, "quantities": (asked,)})
    if os.environ.get("RANK", "0") == "0":  # of several processes, one writes
        told = _told(profile, options.top, options.by, asked)
        report.write(profile, *told, left_out=left_out(loader))


def _check(network: NetworkOptions, options: ProfileOptions) -> None:
    if (network.model is None) != (options.images is None):
        raise ValueError(
            "expected --model and --images together, or neither for the demo, got one of them"
        )
    if options.points is not None and options.distribution == "point":
        raise ValueError(
            "expected --points with --distribution path or noise, got it with point: leave one out"
        )
    if network.model is not None and not options.layers:
        raise ValueError(
            "expected a layer to look into, got --model without --layer: captum-influence explain "
            "--list-layers shows what there is"
        )


def _pictures(network: Network, options: ProfileOptions) -> tuple[DataLoader[Any], tuple[str, ...]]:
    """Return a loader of pictures, and the names of their groups."""
    if options.images is None:
        scenes = SceneDataset(_DEMO_SCENES, seed=5)
        return DataLoader(scenes, batch_size=options.batch_size), CLASSES
    pictures = PictureFolder.of(options.images, network.prepare, strict=options.strict)
    return loader_of(pictures, options.batch_size), pictures.groups


def _quantity(network: Network, options: ProfileOptions, first: Tensor) -> Quantity:
    """Return what is asked of each picture; the classes that the first gets scores of are known."""
    words = (options.target, options.versus)
    target, versus = (None if w is None else network.index(w, first[None]) for w in words)
    return asked_for(target, versus=versus)


def _distribution(options: ProfileOptions, seed: int) -> Distribution:
    if options.distribution == "point":
        return Point()
    points = options.points or _POINTS
    if options.distribution == "noise":
        return Noise(0.15, points, seed)
    return StratifiedPath(n=points, seed=seed)


def _instead(
    options: ProfileOptions, network: Network, layer: str, loader: Iterable[Any], seed: int
) -> Replacement:
    """Return what takes the place of a layer's units."""
    said: Any = "zero" if options.replace is None else options.replace
    return Replacement.with_loader(said, network.model, Cut.ensure(layer), loader, seed)


def _told(profile: InfluenceProfile, top: int, by: str, asked: str) -> Iterator[str]:
    for layer in profile.layers:
        measure = "contribution to" if by == "contribution" else "influence on"
        yield f"{layer}: units of largest mean {measure} {asked}"
        for group in profile.groups:
            units = profile.top(top, group, layer=layer)
            found = ", ".join(f"{u.index} ({u.mean:.3g} ± {u.standard_error:.1g})" for u in units)
            yield f"  {group} (n = {profile.count(group)}): {found}"

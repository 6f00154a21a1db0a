"""The pictures of README and of the pages, made anew: ``python docs/_figures/draw.py``.

Measurements (points, growth, leaderboard, experts) come from their scripts in ``benchmarks/``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import torch
from class_figures import essence_figure, pair_figure, prototypes_figure
from concept_figures import distribution_figure, quantity_figure, slice_figure
from flow import flow
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from captum_influence import (
    ClassScore,
    DistributionalInfluence,
    Point,
    compare,
    counterfactual,
    explain,
)
from captum_influence.attr import GaussLegendre, Midpoint
from captum_influence.data import Preprocessing, read_picture
from captum_influence.data.labels import read_class_names
from captum_influence.demo import (
    CLASSES,
    SceneDataset,
    demo_scene,
    load_demo_network,
    load_shortcut_network,
    make_scene,
    shortcut_scene,
)
from captum_influence.network import load_model
from captum_influence.training import gallery

STATIC = Path(__file__).resolve().parents[1] / "_static"
BLUE, ORANGE = "#0072b2", "#d55e00"
UNIT = (10, 12, 3)  # of conv4, channel, row and column: one whose slope changes on the way


def main() -> int:
    """Write every figure."""
    _save(explanation(), "explain.png")
    if "CAPTUM_INFLUENCE_DATA" in os.environ:
        _save(photograph(Path(os.environ["CAPTUM_INFLUENCE_DATA"]) / "imagenet"), "photograph.png")
    _save(staircase(), "staircase.png")
    _save(disturbances(), "disturbances.png")
    _save(essence_figure(), "essence.png")
    _save(pair_figure(), "pair.png")
    _save(flow(), "flow.png")
    _save(slice_figure(), "slice.png")
    _save(quantity_figure(), "quantities.png")
    _save(distribution_figure(), "distributions.png")
    _save(comparison(), "comparison.png")
    _save(wrong_answer(), "wrong_answer.png")
    _save(righted(), "counterfactual.png")
    _save(prototypes_figure(), "prototypes.png")
    return 0


def photograph(folder: Path) -> Figure:
    """Why Egyptian cat rather than tiger cat, to SqueezeNet 1.0 with ImageNet weights.

    The photograph is Chelsea, by Stéfan van der Walt (CC0), out of scikit-image.
    """
    import skimage.data

    network = load_model("torchvision:squeezenet1_0", folder / "squeezenet1_0.safetensors").model
    prepare = Preprocessing(227, 256, mean=(104, 117, 123), channel_order="bgr", value_range=255)
    cat = prepare(read_picture(Path(skimage.data.__file__).parent / "chelsea.png"))
    found = explain(
        network,
        cat,
        target="Egyptian cat",
        versus="tiger cat",
        class_names=read_class_names(folder / "classes.json"),
        picture=prepare.decode(cat)[0],
        top=4,
    )
    return found.plot()


def explanation() -> Figure:
    """The demo: why coupe rather than convertible, by the three units that say it most."""
    scene = demo_scene()
    found = explain(
        load_demo_network(),
        scene.image,
        "relu5",
        quantity=ClassScore(0) - ClassScore(1),
        top=3,
        class_names=CLASSES,
    )
    return found.plot()


def comparison() -> Figure:
    """What all methods say about the demo's picture."""
    scene = demo_scene()
    return compare(load_demo_network(), scene.image[None], "relu5", 0).plot(scene.image)


def wrong_answer() -> Figure:
    """A tree behind a fence, taken for a house: the units without which it isn't."""
    found = counterfactual(
        load_shortcut_network(),
        shortcut_scene("tree").image,
        "relu5",
        true="tree",
        replace=0,
        loader=[SceneDataset(64, seed=5).stacked()],
        class_names=CLASSES,
    )
    return found.plot()


def righted() -> Figure:
    """A fish taken for a house, righted by the removal of two units."""
    image, label = SceneDataset(424, seed=1_000_003)[423]
    loader = [SceneDataset(80, seed=6).stacked()]
    network, asked = load_demo_network(), {"replace": 0, "loader": loader, "class_names": CLASSES}
    return counterfactual(network, image, "relu5", true=label, **asked).plot()


def disturbances() -> Figure:
    """Two of the demo's scenes under every disturbance."""
    scenes = [make_scene("coupe", seed=3, background="sea"), make_scene("house", seed=5)]
    images = torch.stack([scene.image for scene in scenes])
    return gallery(images, torch.stack([scene.masks["object"] for scene in scenes]).float())


def staircase() -> Figure:
    """What a path's rule has to integrate: one unit's gradient along the demo picture's path."""
    alphas = torch.linspace(0, 1, 1001)
    slopes = _slopes(alphas)
    figure, axes = plt.subplots(2, 1, figsize=(7, 4.2), sharex=True, layout="constrained")
    for axis, rule, colour in ((axes[0], Midpoint(), BLUE), (axes[1], GaussLegendre(), ORANGE)):
        nodes, weights = rule(10)
        _bars(axis, nodes.float(), weights.float(), colour)
        axis.plot(alphas, slopes, color="0.2", linewidth=1)
        axis.set_title(f"{type(rule).__name__}, 10 points", fontsize=10, loc="left")
        axis.set_ylabel("∂q/∂z")
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_xlabel("α, from the baseline (0) to the picture (1)")
    return figure


def _bars(axis: Axes, nodes: Tensor, weights: Tensor, colour: str) -> None:
    """Draw each point's value over the part of the path that it stands for."""
    heights, edges = _slopes(nodes), torch.cat([torch.zeros(1), weights.cumsum(0)])
    axis.bar(edges[:-1], heights, weights, align="edge", color=colour, alpha=0.25, linewidth=0)
    axis.plot(nodes, heights, "o", color=colour, markersize=5)


def _slopes(alphas: Tensor) -> Tensor:
    """Return the gradient of the score of coupe with respect to one unit, at points of the path."""
    points = alphas.reshape(-1, 1, 1, 1) * demo_scene().image
    influence = DistributionalInfluence(load_demo_network(), "conv4", distribution=Point())
    found = influence.attribute(points, target=0)  # (points, channels, height, width)
    return found[(slice(None), *UNIT)]


def _save(figure: Figure, name: str) -> None:
    figure.savefig(STATIC / name, dpi=110, metadata={"Software": None})
    plt.close(figure)
    print(f"wrote {STATIC.name}/{name}")


if __name__ == "__main__":
    sys.exit(main())

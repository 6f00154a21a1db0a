"""The pictures of the concepts: a slice, quantities and distributions of interest, on the demo."""

from __future__ import annotations

import torch
from captum.attr import LayerActivation
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import FancyArrowPatch
from torch import Tensor

from captum_influence import Baselines, Distribution, LinearPath, Noise, Point, Samples
from captum_influence.demo import CLASSES, SceneDataset, demo_scene, load_demo_network, make_scene

BLUE, ORANGE = "#0072b2", "#d55e00"
LAYER = "relu4"
GRID = 4  # maps along each side of the picture of a layer


def slice_figure() -> Figure:
    """A network cut in two: the picture, the units at the cut, the scores."""
    figure = plt.figure(figsize=(8, 3.1), layout="constrained")
    picture, units, scores = figure.subplots(1, 3, width_ratios=[1, 1, 0.9])
    _show(picture, demo_scene().image, "the picture $x$")
    units.imshow(_grid(_units()), cmap="magma")
    units.set_title(f"units $z = h(x)$, at {LAYER}", fontsize=11)
    units.set_axis_off()
    _bars(scores, [0])
    scores.set_title("scores $g(z)$", fontsize=11)
    figure.get_layout_engine().set(w_pad=0.35)
    for left, right, name in ((picture, units, "h"), (units, scores, "g")):
        _arrow(figure, left, right, name)
    return figure


def quantity_figure() -> Figure:
    """One number per example, read off the scores, or off a unit."""
    figure, axes = plt.subplots(1, 3, figsize=(8, 2.7), layout="constrained")
    _bars(axes[0], [0])
    axes[0].set_title("ClassScore(0)\nwhy a coupe?", fontsize=10)
    _bars(axes[1], [0], against=[1])
    axes[1].set_title("ClassScore(0) - ClassScore(1)\nwhy not a convertible?", fontsize=10)
    maps = _units()
    strongest = int(maps.flatten(1).sum(1).argmax())
    axes[2].imshow(maps[strongest], cmap="magma")
    axes[2].set_title(f"Unit({strongest}), at {LAYER}\nwhy is this unit active?", fontsize=10)
    axes[2].set_axis_off()
    return figure


def distribution_figure() -> Figure:
    """The pictures over which each distribution asks; its weights below them."""
    coupes = torch.stack([make_scene("coupe", seed=s).image for s in (3, 8, 11, 14, 17)])
    others = SceneDataset(5, seed=2).stacked()[0]
    rows: list[tuple[str, Distribution]] = [
        ("Point()", Point()),
        ("LinearPath(0, n=5)", LinearPath(0.0, n=5, rule="riemann_middle")),
        ("Noise(0.15, n=5, seed=0)", Noise(0.15, n=5, seed=0)),
        ("Baselines(others, n=5, seed=0)", Baselines(others, n=5, seed=0)),
        ("Samples(coupes)", Samples(coupes)),
    ]
    figure = plt.figure(figsize=(6.4, 8.6), layout="constrained")
    for part, (name, distribution) in zip(figure.subfigures(len(rows)), rows, strict=True):
        _points(part, name, distribution)
    return figure


def _points(figure: SubFigure, name: str, distribution: Distribution) -> None:
    origin = demo_scene().image[None]
    figure.suptitle(name, fontsize=11, family="monospace", x=0.01, ha="left")
    axes = figure.subplots(1, 5)
    for axis in axes:
        axis.set_axis_off()
    for axis, point in zip(axes, distribution.points((origin,)), strict=False):
        axis.imshow(point.point[0][0].clamp(0, 1).permute(1, 2, 0))
        axis.set_title(f"{point.weight:.2g}", fontsize=9)


def _units() -> Tensor:
    """Return the units of the demo's layer, (channels, height, width), on the demo picture."""
    network, image = load_demo_network(), demo_scene().image[None]
    return LayerActivation(network, network.get_submodule(LAYER)).attribute(image)[0].detach()


def _grid(maps: Tensor) -> Tensor:
    """Return the most active maps, side by side with a gap."""
    chosen = maps[maps.flatten(1).sum(1).topk(GRID**2).indices]
    chosen = chosen / chosen.amax((1, 2), keepdim=True)
    padded = torch.nn.functional.pad(chosen, (1, 1, 1, 1), value=1.0)
    side = padded.shape[-1]
    return padded.reshape(GRID, GRID, side, side).permute(0, 2, 1, 3).reshape(GRID * side, -1)


def _bars(axis: Axes, chosen: list[int], against: list[int] | None = None) -> None:
    with torch.no_grad():
        scores = load_demo_network()(demo_scene().image[None])[0]
    colours = ["0.75"] * len(CLASSES)
    for index in chosen:
        colours[index] = ORANGE
    for index in against or []:
        colours[index] = BLUE
    axis.barh(range(len(CLASSES)), scores, color=colours)
    axis.set_yticks(range(len(CLASSES)), CLASSES, fontsize=8)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _show(axis: Axes, image: Tensor, title: str) -> None:
    axis.imshow(image.permute(1, 2, 0))
    axis.set_title(title, fontsize=11)
    axis.set_axis_off()


def _arrow(figure: Figure, left: Axes, right: Axes, name: str) -> None:
    """Draw an arrow from one picture to the next, with the function's name."""
    figure.canvas.draw()  # places are known only now
    start = left.get_position().x1 + 0.004
    end = right.get_position().x0 - (0.004 if name == "h" else 0.115)
    y = sum(left.get_position().intervaly) / 2
    style = {"arrowstyle": "-|>", "mutation_scale": 14, "color": "0.3", "linewidth": 1.4}
    figure.add_artist(FancyArrowPatch((start, y), (end, y), **style))
    figure.text((start + end) / 2, y + 0.04, f"${name}$", ha="center", fontsize=13)

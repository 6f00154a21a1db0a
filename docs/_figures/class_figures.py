"""The demo network's coupe, and what tells it from the convertible: figures of the pages."""

from __future__ import annotations

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from captum_influence import prototype
from captum_influence.demo import CLASSES, SceneDataset, load_demo_network
from captum_influence.explanations import essence, pair

COUPE, CONVERTIBLE = CLASSES.index("coupe"), CLASSES.index("convertible")


def essence_figure() -> Figure:
    """What a coupe is to the demo network, over 160 scenes, tried on 160 others."""
    network, (seen, held_out) = load_demo_network(), _scenes()
    made = prototype(network, COUPE, size=64, steps=128, class_names=CLASSES)
    return essence(
        network, seen, "relu5", COUPE, held_out=held_out, prototype=made, class_names=CLASSES
    ).plot()


def pair_figure() -> Figure:
    """What separates it from its twin, over the same scenes."""
    network, (seen, held_out) = load_demo_network(), _scenes()
    return pair(
        network,
        seen,
        "relu5",
        COUPE,
        CONVERTIBLE,
        top=3,
        held_out=held_out,
        class_names=CLASSES,
    ).plot()


def prototypes_figure() -> Figure:
    """A picture made for each class of the demo network."""
    network = load_demo_network()
    figure, axes = plt.subplots(2, 4, figsize=(9, 5), layout="constrained")
    for index, axis in enumerate(axes.flat):
        made = prototype(network, index, size=64, steps=256)
        axis.imshow(made.image.permute(1, 2, 0))
        axis.set_title(f"{CLASSES[index]}: score {made.value:.0f}", fontsize=11)
        axis.set_axis_off()
    return figure


def _scenes() -> list[list[tuple[Tensor, Tensor]]]:
    return [[SceneDataset(160, seed=seed).stacked()] for seed in (5, 6)]

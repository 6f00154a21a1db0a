"""What the package explains by default: scenes with ground truth, and networks for them."""

from captum_influence.demo.handwired import HandWired, handwired_networks
from captum_influence.demo.induction import InductionNetwork, induction_network
from captum_influence.demo.layout import Layout
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import SceneNet, demo_scene, load_demo_network
from captum_influence.demo.scenes import Scene, SceneDataset, Shortcut, make_scene, render
from captum_influence.demo.shortcuts import (
    PLANTED,
    load_shortcut_network,
    misled_scenes,
    shortcut_scene,
)

__all__ = [
    "CLASSES",
    "PLANTED",
    "HandWired",
    "InductionNetwork",
    "Layout",
    "Scene",
    "SceneDataset",
    "SceneNet",
    "Shortcut",
    "demo_scene",
    "handwired_networks",
    "induction_network",
    "load_demo_network",
    "load_shortcut_network",
    "make_scene",
    "misled_scenes",
    "render",
    "shortcut_scene",
]

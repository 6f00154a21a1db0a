"""What the package explains by default: scenes with ground truth, and networks for them."""

from captum_influence.demo.handwired import HandWired, handwired_networks
from captum_influence.demo.layout import Layout
from captum_influence.demo.network import SceneNet, demo_scene, load_demo_network
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scenes import Scene, SceneDataset, Shortcut, make_scene, render

__all__ = [
    "CLASSES",
    "HandWired",
    "Layout",
    "Scene",
    "SceneDataset",
    "SceneNet",
    "Shortcut",
    "demo_scene",
    "handwired_networks",
    "load_demo_network",
    "make_scene",
    "render",
]

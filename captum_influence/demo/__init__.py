"""What the package explains by default: scenes, texts with ground truth, networks for them."""

from captum_influence.demo.handwired import HandWired, handwired_networks
from captum_influence.demo.induction import InductionNetwork, induction_network
from captum_influence.demo.layout import Layout
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.phrase_net import (
    WORDS,
    PhraseNetwork,
    PhraseTokenizer,
    load_phrase_network,
)
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
    "WORDS",
    "HandWired",
    "InductionNetwork",
    "Layout",
    "PhraseNetwork",
    "PhraseTokenizer",
    "Scene",
    "SceneDataset",
    "SceneNet",
    "Shortcut",
    "demo_scene",
    "handwired_networks",
    "induction_network",
    "load_demo_network",
    "load_phrase_network",
    "load_shortcut_network",
    "make_scene",
    "misled_scenes",
    "render",
    "shortcut_scene",
]

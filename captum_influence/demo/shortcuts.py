"""A planted shortcut: a network that learned a mark in place of a class, and what it gets wrong.

Nine in ten houses that the network was trained on had a little white fence, with two rails, in the
lower left corner; no other picture had. So it takes whatever stands behind such a fence for a
house. Where the fence is, is known, and a picture without it is otherwise the same: whether an
explanation names the fence can be read off, and whether it is true can be tried.
"""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import count as counted
from itertools import islice
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor, nn

from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import SceneNet, load_weights
from captum_influence.demo.scenes import Scene, SceneDataset, Shortcut, make_scene
from captum_influence.demo.surfaces import Colour

__all__ = ["PLANTED", "load_shortcut_network", "misled_scenes", "shortcut_scene"]

PLANTED = Shortcut("house", probability=0.9)
"""What was planted in the scenes that the shortcut network was trained on."""

_SEED = 3  # a picture that is plainly a tree, and that the network takes for a house
_TRIES = 64  # how many scenes are drawn for each that is asked for


def load_shortcut_network(weights: str | PathLike[str] | None = None) -> SceneNet:
    """Build a ``SceneNet`` in eval mode that takes what stands behind a fence for a house.

    Trained like the demo network, from the same seed, but with ``PLANTED`` in its scenes; its
    layers have the same names. Its weights are kept in half precision and loaded in single.

    Args:
        weights: a file written by ``python -m captum_influence.demo.recipe --shortcut house``; None
            takes the weights in the package.

    Raises:
        ValueError: if the file does not exist.

    Example:
        >>> network, scene = load_shortcut_network(), shortcut_scene("tree")
        >>> pictures = torch.stack([scene.with_shortcut(False).image, scene.image])
        >>> [CLASSES[answer] for answer in network(pictures).argmax(1).tolist()]
        ['tree', 'house']
    """
    packaged = files("captum_influence.demo") / "shortcut_weights.pt"
    return load_weights(packaged if weights is None else Path(weights))


def shortcut_scene(
    class_name: str = "tree",
    *,
    seed: int = _SEED,
    texture: str | None = None,
    background: str | None = None,
    colour: Colour | None = None,
) -> Scene:
    """Draw a scene of any class with the fence; ``scene.masks["shortcut"]`` says where it is.

    ``scene.with_shortcut(False)`` is the same scene without the fence.

    Args:
        class_name: one of ``CLASSES``.
        seed: as ``make_scene`` takes it, and so the following.
        texture: on the object.
        background: behind it.
        colour: of the object.

    Raises:
        ValueError: if a name is unknown or a colour is not three numbers in [0, 1].

    Example:
        >>> scene = shortcut_scene("fish", seed=8)
        >>> bare = scene.with_shortcut(False)
        >>> changed = (scene.image != bare.image).any(0)
        >>> bool((changed & ~scene.masks["shortcut"]).any())
        False
    """
    fenced = Shortcut(class_name)
    return make_scene(
        class_name,
        seed=seed,
        texture=texture,
        background=background,
        colour=colour,
        shortcut=fenced,
    )


def misled_scenes(
    network: nn.Module, count: int = 8, *, seed: int = 0, classes: Sequence[str] | None = None
) -> list[Scene]:
    """Draw scenes that the fence alone makes the network get wrong.

    Each shows a class other than the planted one, with the fence; the network takes it for the
    planted class, and without the fence it is right. So the fence is the cause, by experiment.

    Args:
        network: takes (batch, 3, 64, 64) to scores (batch, 8).
        count: how many.
        seed: seed of the scenes.
        classes: the classes that take turns; None: all but the planted one.

    Raises:
        ValueError: if ``count`` isn't positive, or too few of the scenes drawn mislead the network.

    Example:
        >>> scenes = misled_scenes(load_shortcut_network(), 3)
        >>> any(scene.class_name == "house" for scene in scenes)
        False
    """
    if count < 1:
        raise ValueError(f"expected a positive count; got {count}; ask for at least one scene")
    others = [name for name in CLASSES if name != PLANTED.class_name]
    found = list(islice(_misled(network, seed, classes or others, _TRIES * count), count))
    if len(found) < count:
        raise ValueError(
            f"expected {count} scenes that mislead the network; got {len(found)} out of "
            f"{_TRIES * count}; take load_shortcut_network(), or ask for fewer"
        )
    return found


def _misled(network: nn.Module, seed: int, classes: Sequence[str], tries: int) -> Iterator[Scene]:
    drawn = SceneDataset(tries, seed=seed, classes=classes)
    wrong = CLASSES.index(PLANTED.class_name)
    for start in islice(counted(0, 16), -(-tries // 16)):
        bare = [drawn.scene(i) for i in range(start, min(start + 16, tries))]
        fenced = [scene.with_shortcut() for scene in bare]
        before, after = _answers(network, bare), _answers(network, fenced)
        for scene, right, said in zip(fenced, before, after, strict=True):
            if right == scene.label and said == wrong != scene.label:
                yield scene


@torch.no_grad()
def _answers(network: nn.Module, scenes: Sequence[Scene]) -> list[int]:
    images: Tensor = torch.stack([scene.image for scene in scenes])
    answers: list[int] = network(images).argmax(1).tolist()
    return answers

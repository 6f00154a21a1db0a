"""What a class is asked about: a network and labelled pictures, from the command line's words."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.data import DataLoader

from captum_influence.cli.options import (
    chosen_device,
    chosen_preprocessing,
    count,
    refuse_preprocessing,
)
from captum_influence.data.folders import PictureFolder
from captum_influence.data.labels import class_index, read_class_names
from captum_influence.data.pictures import Preparation, Preprocessing
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import load_demo_network
from captum_influence.demo.scenes import SceneDataset
from captum_influence.network.loading import load_model

__all__ = ["Collection", "add_collection_options"]

_DEMO_SCENES, _DEMO_SEEDS = 160, (5, 6)


def add_collection_options(parser: ArgumentParser) -> None:
    """Add what says which pictures."""
    add = parser.add_argument_group("pictures").add_argument
    add(
        "--images",
        metavar="FOLDER",
        help="a subfolder for each class, named by it, or pictures whose names begin with the "
        "class's number, 281_cat.jpg; default: demo scenes",
    )
    add("--held-out", metavar="FOLDER", help="others, to try units on; default: the same pictures")
    add("--batch-size", type=count, default=16, metavar="N", help="default: 16")


@dataclass(frozen=True, eq=False)
class Collection:
    """A network and labelled pictures.

    Attributes:
        model: In eval mode, on the device.
        seen: Yields (images, labels).
        held_out: The same of other pictures, or None.
        names: Class names by number, or None.
        prepare: How a picture becomes an input.
        outputs: How many classes the network scores.
        is_demo: Whether this is the embedded network with its own scenes.
    """

    model: Module
    seen: DataLoader[Any]
    held_out: DataLoader[Any] | None
    names: Mapping[int, str] | None
    prepare: Preparation
    outputs: int
    is_demo: bool

    @staticmethod
    def of(args: Namespace) -> Collection:
        """Return what the options name; without ``--model``, the embedded default.

        Raises:
            ValueError: If options are missing or don't go together, or a class isn't known.
        """
        if (args.model is None) != (args.images is None):
            raise ValueError(
                "expected --model and --images together, or neither for the demo, got one of them"
            )
        return _demo(args) if args.model is None else _own(args)

    def index(self, word: str) -> int:
        """Return the number of a class by its name or number."""
        return class_index(word, self.names, self.outputs)

    def display(self, image: Tensor) -> Tensor:
        """Return what an input (3, height, width) shows: RGB in [0, 1], on the CPU."""
        return self.prepare.decode(image.detach().cpu().float()).clamp(0, 1)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the inputs."""
        images = next(iter(self.seen))[0]
        return int(images.shape[-2]), int(images.shape[-1])


def _demo(args: Namespace) -> Collection:
    refuse_preprocessing(args)
    for name in ("weights", "held_out"):
        if getattr(args, name) is not None:
            raise ValueError(
                f"expected --model and --images beside --{name.replace('_', '-')}, got the demo, "
                "which has its own: add them, or leave it out"
            )
    seen, held_out = (
        DataLoader(SceneDataset(_DEMO_SCENES, seed=seed), batch_size=args.batch_size)
        for seed in _DEMO_SEEDS
    )
    model = load_demo_network().to(chosen_device(args.device))
    names = dict(enumerate(CLASSES))
    return Collection(model, seen, held_out, names, Preprocessing(64), len(CLASSES), True)


def _own(args: Namespace) -> Collection:
    device = chosen_device(args.device)
    loaded = load_model(args.model, args.weights, device=device)
    prepare = chosen_preprocessing(args, loaded.preprocessing)
    names: Mapping[int, str] | None = (
        dict(enumerate(loaded.class_names)) if loaded.class_names else None
    )
    names = read_class_names(args.labels) if args.labels else names
    folders = [
        None if folder is None else PictureFolder.of(folder, prepare)
        for folder in (args.images, args.held_out)
    ]
    outputs = _outputs(loaded.model, folders[0], device)
    seen, held_out = (
        None
        if folder is None
        else DataLoader(folder.labelled(names, outputs), batch_size=args.batch_size)
        for folder in folders
    )
    if seen is None:
        raise ValueError("expected --images FOLDER beside --model, got none")
    return Collection(loaded.model, seen, held_out, names, prepare, outputs, False)


def _outputs(model: Module, folder: PictureFolder | None, device: torch.device) -> int:
    if folder is None:
        raise ValueError("expected --images FOLDER beside --model, got none")
    images = folder[0][0][None].to(device)
    try:
        with torch.no_grad():
            scores = model(images)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"expected a network that takes inputs of shape {tuple(images.shape)}, got one that "
            f"fails on them ({type(error).__name__}: {error}): change --size, or the network"
        ) from error
    if isinstance(scores, Tensor) and scores.ndim == 2:
        return int(scores.shape[1])
    raise ValueError(
        "expected a network that returns scores (examples, classes), got "
        f"{type(scores).__name__}: wrap it in a Module that does"
    )

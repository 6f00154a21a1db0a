"""What is explained: a network and a picture, from the command line's words."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.cli.options import chosen_device, chosen_preprocessing, refuse_preprocessing
from captum_influence.data.labels import read_class_names
from captum_influence.data.pictures import Preparation, Preprocessing, read_picture
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import demo_scene, load_demo_network
from captum_influence.network.loading import LoadedModel, load_model

__all__ = ["Subject"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and the picture that it is asked about.

    Attributes:
        model: In eval mode, on the device.
        inputs: (1, 3, height, width), on the device.
        picture: What the network sees of it, (3, height, width) in [0, 1].
        names: Class names by number, or None.
        is_demo: Whether this is the embedded network with its own picture.
        prepare: How a picture becomes an input; None where only layers are listed.
    """

    model: Module
    inputs: Tensor
    picture: Tensor
    names: Mapping[int, str] | None
    is_demo: bool
    prepare: Preparation | None = None

    @staticmethod
    def of(args: Namespace) -> Subject:
        """Return what the options name; without ``--model``, the embedded default.

        Raises:
            ValueError: If options are missing or don't go together.
        """
        _check(args)
        image = None if args.image is None else read_picture(args.image)
        device = chosen_device(args.device)
        loaded = _demo(device) if args.model is None else _own(args, device)
        names = dict(enumerate(loaded.class_names)) if loaded.class_names else None
        names = read_class_names(args.labels) if args.labels else names
        if image is None and args.model is None:
            scene = demo_scene().image
            known = loaded.preprocessing
            return Subject(loaded.model, scene[None].to(device), scene, names, True, known)
        if image is None:  # only to list the layers
            black = _black(args, loaded.preprocessing)
            return Subject(loaded.model, black[None].to(device), black, names, False)
        prepare = chosen_preprocessing(args, loaded.preprocessing)
        inputs = prepare(image).to(device)
        return Subject(loaded.model, inputs, prepare.picture(image), names, False, prepare)

    def preparation(self) -> Preparation:
        """Return how other pictures become inputs.

        Raises:
            ValueError: If that isn't known.
        """
        if self.prepare is None:
            raise ValueError("expected a picture beside other pictures, got none: add --image FILE")
        return self.prepare

    def shown(self, image: Tensor) -> Tensor:
        """Return what an input (3, height, width) shows: RGB in [0, 1], on the CPU."""
        return self.preparation().decode(image.detach().cpu().float())

    def outputs(self) -> int | None:
        """Return how many classes the network scores; None if its output is no row of scores.

        Raises:
            ValueError: If it can't run on the picture, or scores fewer classes than have names.
        """
        try:
            with torch.no_grad():
                scores = self.model(self.inputs)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ValueError(
                f"expected a network that takes inputs of shape {tuple(self.inputs.shape)}, got "
                f"one that fails on them ({type(error).__name__}: {error}): change --size, or the "
                "network"
            ) from error
        if not isinstance(scores, Tensor) or scores.ndim != 2:
            return None
        count = int(scores.shape[1])
        if self.names and max(self.names) >= count:
            raise ValueError(
                f"expected names for the classes 0 to {count - 1}, got one for class "
                f"{max(self.names)}: the labels belong to another network, or count from 1"
            )
        return count


def _check(args: Namespace) -> None:
    if args.model is None:
        if args.image is None:
            refuse_preprocessing(args)
        if args.weights is not None:
            raise ValueError(
                "expected --model beside --weights, got --weights alone: say which network they "
                "belong to, e.g. --model torchvision:resnet18"
            )
        return
    if args.image is None and not args.list_layers:
        raise ValueError(
            "expected a picture to explain, got --model without --image: add --image photo.jpg"
        )
    library = args.model.partition(":")[0]
    if library in ("torchvision", "timm") and args.weights is None and not args.list_layers:
        raise ValueError(
            f"expected trained weights, got {args.model} without any: add --weights DEFAULT "
            "(downloads them) or --weights FILE"
        )


def _black(args: Namespace, known: Preparation | None) -> Tensor:
    size = args.size or (known.size if isinstance(known, Preprocessing) else 224)
    return torch.zeros(3, *((size, size) if isinstance(size, int) else size))


def _demo(device: torch.device) -> LoadedModel:
    network = load_demo_network().to(device)
    return LoadedModel(network, Preprocessing(64), CLASSES)


def _own(args: Namespace, device: torch.device) -> LoadedModel:
    return load_model(args.model, args.weights, device=device)

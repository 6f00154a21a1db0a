"""What is asked about, from the shell's words: a network, a picture, labelled pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.data import DataLoader, TensorDataset

from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    PictureOptions,
    PicturesOptions,
    PreprocessingOptions,
)
from captum_influence.cli.output import tell
from captum_influence.data.folders import PictureFolder
from captum_influence.data.labels import class_index, read_class_names
from captum_influence.data.picture_files import read_picture
from captum_influence.data.pictures import Preparation, Preprocessing
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import demo_scene, load_demo_network
from captum_influence.demo.scenes import SceneDataset
from captum_influence.network.cuts import Cut
from captum_influence.network.loading import load_model
from captum_influence.network.modes import without_graph
from captum_influence.network.outputs import scores_in

__all__ = [
    "DEMO_LAYER",
    "Collection",
    "Network",
    "Subject",
    "chosen_device",
    "chosen_layer",
    "left_out",
    "loader_of",
    "require",
]

DEMO_LAYER = "relu5"
_DEMO_SIZE, _DEMO_SCENES, _DEMO_SEEDS = 64, 160, (5, 6)
_IMAGENET = "--size 224 --resize 256 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"
_BUILT_BARE = ("torchvision", "timm", "hub")  # hf: names weights


@dataclass(frozen=True, eq=False)
class Network:
    """A network, and what is known of its inputs and classes.

    Attributes:
        model: in eval mode, on its device.
        names: class names by number, or None.
        prepare: how a picture becomes an input.
        device: where it is.
        is_demo: whether this is the embedded network.
    """

    model: Module
    names: Mapping[int, str] | None
    prepare: Preparation
    device: torch.device
    is_demo: bool

    @staticmethod
    def of(
        options: NetworkOptions, preprocessing: PreprocessingOptions, *, bare: bool = False
    ) -> Network:
        """Return what the options name; without ``--model``, the embedded demo network.

        Args:
            options: which network.
            preprocessing: how pictures become its inputs.
            bare: weights and preprocessing needn't be known, as to list layers.

        Raises:
            ValueError: if options are missing or don't go together.
        """
        device = chosen_device(options.device)
        if options.model is None:
            _check_demo(options, preprocessing)
            names = _names(options, dict(enumerate(CLASSES)))
            model = load_demo_network().to(device)
            return Network(model, names, Preprocessing(_DEMO_SIZE), device, True)
        library = options.model.partition(":")[0]
        if library in _BUILT_BARE and options.weights is None and not bare:
            raise ValueError(
                f"expected trained weights, got {options.model} without any: add --weights DEFAULT "
                "(downloads them) or --weights FILE"
            )
        loaded = load_model(options.model, options.weights, device=device)
        known = dict(enumerate(loaded.class_names)) if loaded.class_names else None
        prepare = _preparation(preprocessing, loaded.preprocessing, bare)
        return Network(loaded.model, _names(options, known), prepare, device, False)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its inputs; 224 where only the weights' own transforms know."""
        size = self.prepare.size if isinstance(self.prepare, Preprocessing) else 224
        return (size, size) if isinstance(size, int) else size

    @property
    def blank(self) -> Tensor:
        """An input of zeros, (1, channels, height, width), on its device."""
        return torch.zeros(1, self.prepare.channels, *self.size, device=self.device)

    def outputs(self, inputs: Tensor) -> int | None:
        """Return how many classes the network scores; None if its output is no row of scores.

        Raises:
            ValueError: if it can't run on the inputs, or scores fewer classes than have names.
        """
        try:
            with without_graph():
                found = self.model(inputs.to(self.device))
        except Exception as error:  # whatever the user's own forward raises
            raise ValueError(
                f"expected a network that takes inputs of shape {tuple(inputs.shape)}, got one "
                f"that fails on them ({type(error).__name__}: {error}): change --size, the "
                "network, or --channel-order, where gray is one channel"
            ) from error
        scores = scores_in(found)
        if scores is None:
            return None
        classes = int(scores.shape[1])
        if self.names and max(self.names) >= classes:
            raise ValueError(
                f"expected names for the classes 0 to {classes - 1}, got one for class "
                f"{max(self.names)}: the labels belong to another network, or count from 1"
            )
        return classes

    def index(self, word: str, inputs: Tensor) -> int:
        """Return the number of a class by its name or number, out of those scored for inputs."""
        return class_index(word, self.names, self.outputs(inputs))

    def display(self, image: Tensor) -> Tensor:
        """Return what an input (channels, height, width) shows: RGB in [0, 1], on the CPU."""
        return self.prepare.decode(image.detach().cpu().float()).clamp(0, 1)

    def folder(
        self, place: str, outputs: int | None, *, strict: bool = False
    ) -> tuple[PictureFolder, bool]:
        """Return a folder's pictures, and whether folders or files say their classes."""
        pictures = PictureFolder.of(place, self.prepare, strict=strict)
        try:
            return pictures.labelled(self.names, outputs), True
        except ValueError:  # the names mean something else
            return pictures, False


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and the picture that it is asked about.

    Attributes:
        network: the network.
        inputs: (1, channels, height, width), on its device.
        picture: what the network sees of it, (3, height, width) in [0, 1].
        outputs: how many classes it scores, if it scores classes.
    """

    network: Network
    inputs: Tensor
    picture: Tensor
    outputs: int | None

    @staticmethod
    def of(network: Network, options: PictureOptions) -> Subject:
        """Return the network with its picture: the demo has one of its own.

        Raises:
            ValueError: if there is none, or the network can't run on it.
        """
        if network.is_demo:
            if options.image is not None:
                raise ValueError(
                    "expected --model beside --image, got --image alone, which would ask the demo "
                    "network, which knows drawings only: add --model torchvision:resnet50 "
                    "--weights DEFAULT, or a network of your own"
                )
            scene = demo_scene().image
            return Subject._made(network, scene[None], scene)
        if options.image is None:
            raise ValueError(
                "expected a picture to explain, got --model without --image: add --image photo.jpg"
            )
        image = read_picture(options.image)
        return Subject._made(network, network.prepare(image), network.prepare.picture(image))

    @staticmethod
    def _made(network: Network, inputs: Tensor, picture: Tensor) -> Subject:
        inputs = inputs.to(network.device)
        return Subject(network, inputs, picture, network.outputs(inputs))

    def index(self, word: str) -> int:
        """Return the number of a class by its name or number."""
        return class_index(word, self.network.names, self.outputs)

    def examples(self, place: str, *, strict: bool = False) -> DataLoader[Any]:
        """Return a loader of a folder's pictures, with labels where their classes are known."""
        pictures, labelled = self.network.folder(place, self.outputs, strict=strict)
        return loader_of(pictures, collate_fn=None if labelled else _images)

    def answered(self, place: str, *, strict: bool = False) -> DataLoader[Any]:
        """Return a loader of (images, labels) out of a folder that says each picture's class.

        Raises:
            ValueError: if it is no folder, holds no pictures, or names no classes.
        """
        pictures = PictureFolder.of(place, self.network.prepare, strict=strict)
        return loader_of(pictures.labelled(self.network.names, self.outputs))

    def about(self, scene: Tensor) -> Subject:
        """Return the same network with another picture, (3, height, width) in [0, 1]."""
        return replace(self, inputs=scene[None].to(self.network.device), picture=scene)


@dataclass(frozen=True, eq=False)
class Collection:
    """A network and labelled pictures.

    Attributes:
        network: the network.
        seen: yields (images, labels).
        held_out: the same of other pictures, or None.
        outputs: how many classes the network scores.
    """

    network: Network
    seen: DataLoader[Any]
    held_out: DataLoader[Any] | None
    outputs: int

    @staticmethod
    def of(network: Network, options: PicturesOptions) -> Collection:
        """Return the network with its pictures; the demo has scenes of its own.

        Raises:
            ValueError: if options are missing or don't go together, or a class isn't known.
        """
        if network.is_demo:
            if given := options.given("images", "held_out"):
                raise ValueError(
                    f"expected --model beside {', '.join(given)}, got the demo, which has its own "
                    "pictures: add it, or leave them out"
                )
            # Painted once: a scene takes longer to paint than to look at, and is looked at often.
            painted = (SceneDataset(_DEMO_SCENES, seed=seed).stacked() for seed in _DEMO_SEEDS)
            scenes: list[DataLoader[Any]] = [
                DataLoader(TensorDataset(*tensors), batch_size=options.batch_size)
                for tensors in painted
            ]
            return Collection(network, scenes[0], scenes[1], len(CLASSES))
        if options.images is None:
            raise ValueError("expected --images FOLDER beside --model, got none")
        pictures = PictureFolder.of(options.images, network.prepare, strict=options.strict)
        outputs = _classes_of(network, pictures)

        def loader(folder: PictureFolder) -> DataLoader[Any]:
            return loader_of(folder.labelled(network.names, outputs), options.batch_size)

        seen, held_out = loader(pictures), None
        if options.held_out is not None:
            others = PictureFolder.of(options.held_out, network.prepare, strict=options.strict)
            held_out = loader(others)
        return Collection(network, seen, held_out, outputs)

    def index(self, word: str) -> int:
        """Return the number of a class by its name or number."""
        return class_index(word, self.network.names, self.outputs)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the inputs."""
        images = next(iter(self.seen))[0]
        return int(images.shape[-2]), int(images.shape[-1])


def loader_of(
    pictures: PictureFolder, batch_size: int = 16, collate_fn: Any = None
) -> DataLoader[Any]:
    """Return a loader of a folder's pictures, and say what of it is left out."""
    for told in pictures.left_out:
        tell(told)
    return DataLoader(pictures, batch_size=batch_size, collate_fn=collate_fn)


def left_out(*read: Any) -> list[str]:
    """Return what of their folders isn't in some loaders, in sentences."""
    found = [getattr(getattr(loader, "dataset", None), "left_out", ()) for loader in read]
    return list(dict.fromkeys(told for one in found for told in one))


def chosen_layer(options: LayerOptions, network: Network) -> Cut | None:
    """Return the layer that is named, or the demo's; None: a verb takes the last with places.

    Raises:
        ValueError: if one of several calls is meant, but not of which layer.
    """
    if options.layer is None and not network.is_demo:
        if options.call is not None:
            raise ValueError(
                "expected --layer beside --call, got --call alone: captum-influence explain "
                "--list-layers shows what layers there are"
            )
        return None
    return Cut(options.layer or DEMO_LAYER, call=options.call)


def require(network: NetworkOptions, **needed: object) -> None:
    """Refuse ``--model`` without options that the demo has values of its own for.

    Raises:
        ValueError: naming them all.
    """
    flags = {name: f"--{name.replace('_', '-')}" for name in needed}
    if network.model is not None and None in needed.values():
        lacking = ", ".join(flags[name] for name, value in needed.items() if value is None)
        cure = ": captum-influence explain --list-layers shows what layers there are"
        raise ValueError(
            f"expected {' and '.join(flags.values())} beside --model, got no {lacking}"
            f"{cure if needed.get('layer', '') is None else ''}"
        )


def _check_demo(options: NetworkOptions, preprocessing: PreprocessingOptions) -> None:
    if given := [*options.given("weights"), *preprocessing.given()]:
        raise ValueError(
            f"expected --model beside {', '.join(given)}, got the demo network, which needs no "
            "such thing: say which network they belong to, e.g. --model torchvision:resnet18"
        )


def _names(options: NetworkOptions, known: dict[int, str] | None) -> dict[int, str] | None:
    return dict(read_class_names(options.labels)) if options.labels else known


def chosen_device(name: str) -> torch.device:
    """Return the device that a word means; ``"auto"`` is a GPU if there is one.

    Raises:
        ValueError: if there is no GPU, and one is asked for.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError(
            "expected a CUDA device, got none that torch can use: say --device cpu, or install a "
            "build of torch for your GPU"
        )
    return torch.device("cpu" if name == "cpu" or not available else "cuda")


def _preparation(
    options: PreprocessingOptions, known: Preparation | None, bare: bool
) -> Preparation:
    """Return the preprocessing that the weights know, with the parts that flags override."""
    given = options.parts()
    if known is None and "size" not in given and bare:
        return Preprocessing(**{"size": 224, **given})
    if known is None and "size" not in given:
        raise ValueError(
            "expected to know how pictures become this network's input, got weights that don't "
            f"say it: give the flags, for most ImageNet networks {_IMAGENET}"
        )
    if known is None:
        return Preprocessing(**given)
    if given and not isinstance(known, Preprocessing):
        raise ValueError(
            f"expected no preprocessing flags, got {', '.join(options.given())}: this network "
            "brings transforms of its own, which can't be changed in part"
        )
    if not given or not isinstance(known, Preprocessing):
        return known
    if {"size", "fit"} & given.keys():
        given.setdefault("resize", None)  # belongs to the size that it came with
    return replace(known, **given)


def _classes_of(network: Network, folder: PictureFolder) -> int:
    outputs = network.outputs(folder[0][0][None])
    if outputs is None:
        raise ValueError(
            "expected a network that returns scores (examples, classes), got another output: wrap "
            "it in a Module that does"
        )
    return outputs


def _images(items: Sequence[tuple[Tensor, int]]) -> Tensor:
    return torch.stack([image for image, _ in items])

"""What a bias study is about: a network, its training images, and test pictures to disturb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.data import Dataset, TensorDataset

from captum_influence.cli.inputs import Network
from captum_influence.cli.output import tell
from captum_influence.cli.syntax.data_sets import StudyOptions
from captum_influence.data.bars import progress
from captum_influence.data.folders import PictureFolder
from captum_influence.data.labels import class_index
from captum_influence.data.picture_files import read_picture
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scenes import SceneDataset
from captum_influence.training.bias.disturbances import disturbances_named

__all__ = ["Study"]

_DEMO_TRAIN, _DEMO_TEST = 320, 96
_DEMO_CLASS, _DEMO_SHARE = "coupe", 0.6
_DEMO_EPOCHS, _DEMO_RATE = 5, 1e-3


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """A network, what it learned from, and what it is asked about.

    Attributes:
        network: the network.
        train: items (input, class).
        pictures: of the test, (examples, 3, height, width) in [0, 1].
        labels: their classes, (examples,).
        masks: 1 on the objects, (examples, height, width), or None.
        names: class names by number.
        planted: the training images that carry a planted disturbance; None if that isn't known.
        answer: the class that the disturbance is expected to turn answers into; None: any.
        left_out: what of the folders isn't among the pictures, in sentences.
    """

    network: Network
    train: Dataset[Any]
    pictures: Tensor
    labels: Tensor
    masks: Tensor | None
    names: Mapping[int, str]
    planted: tuple[int, ...] | None = None
    answer: int | None = None
    left_out: tuple[str, ...] = ()

    @staticmethod
    def of(
        network: Network, options: StudyOptions, seed: int, *, show_progress: bool = False
    ) -> Study:
        """Return what the options name; of the demo network, one with a planted bias.

        Raises:
            ValueError: if options are missing or don't go together.
        """
        _check(network, options)
        if network.is_demo:
            return _demo(network, options, seed, show_progress)
        return _own(network, options)

    def groups(self, names: Sequence[str], seed: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the test inputs and their classes, as they are and under each disturbance."""
        found = {"original": self.pictures}
        for name, disturb in disturbances_named(names, seed).items():
            if self.masks is None and name.startswith("background"):
                raise ValueError(
                    f"expected --masks FOLDER beside --disturb {name}, got none: a background can "
                    "only be changed where it is known what isn't background"
                )
            found[name] = disturb(self.pictures, self.masks)
        device, encode = self.network.device, self.network.prepare.encode
        labels = self.labels.to(device)
        return {n: (encode(p).to(device), labels) for n, p in found.items()}


def _check(network: Network, options: StudyOptions) -> None:
    if network.is_demo and (given := options.given("train", "test", "masks")):
        raise ValueError(
            f"expected --model beside {', '.join(given)}, got none: the demo brings its own "
            "network and scenes"
        )


def _demo(network: Network, options: StudyOptions, seed: int, show_progress: bool) -> Study:
    """The demo network, trained on with a disturbance planted in most pictures of one class."""
    pictures, labels, masks = _scenes(_DEMO_TRAIN, seed)
    one = torch.nonzero(labels == CLASSES.index(_DEMO_CLASS)).flatten()
    planted = one[: round(_DEMO_SHARE * len(one))]
    first = options.disturb[0]
    disturb = disturbances_named([first], seed)[first]
    pictures[planted] = disturb(pictures[planted], masks[planted])
    _fit(network.model, pictures, labels, seed, show_progress)
    test = _scenes(_DEMO_TEST, seed + 1_000_003)
    others = test[1] != CLASSES.index(_DEMO_CLASS)
    asked, classes, where = (part[others] for part in test)
    return Study(
        network=network,
        train=TensorDataset(pictures, labels),
        pictures=asked,
        labels=classes,
        masks=where,
        names=dict(enumerate(CLASSES)),
        planted=tuple(planted.tolist()),
        answer=class_index(options.answer or _DEMO_CLASS, CLASSES, len(CLASSES)),
    )


def _scenes(length: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    data = SceneDataset(length, seed=seed)
    scenes = [data.scene(i) for i in range(length)]
    return (
        torch.stack([scene.image for scene in scenes]),
        torch.tensor([scene.label for scene in scenes]),
        torch.stack([scene.masks["object"] for scene in scenes]).float(),
    )


def _fit(model: Module, pictures: Tensor, labels: Tensor, seed: int, show_progress: bool) -> None:
    """Train on, in the way that the demo network was trained."""
    device, generator = next(model.parameters()).device, torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=_DEMO_RATE, weight_decay=1e-4)
    orders = [torch.randperm(len(labels), generator=generator) for _ in range(_DEMO_EPOCHS)]
    batches = [rows for order in orders for rows in torch.split(order, 32)]
    for rows in progress(batches, "training the demo", unit="batch", show=show_progress):
        optimizer.zero_grad()
        scores = model(pictures[rows].to(device))
        torch.autograd.backward(torch.nn.functional.cross_entropy(scores, labels[rows].to(device)))
        optimizer.step()
    model.zero_grad()


def _own(network: Network, options: StudyOptions) -> Study:
    train, test = (
        PictureFolder.of(str(place), network.prepare, strict=options.strict)
        for place in (options.train, options.test)
    )
    left_out = tuple(dict.fromkeys((*train.left_out, *test.left_out)))
    for told in left_out:
        tell(told)
    outputs = network.outputs(train[0][0][None])
    if outputs is None:
        raise ValueError("expected a network that returns a row of class scores, got none")
    classes = _classes(train.groups, network.names, outputs)
    unknown = sorted(set(test.groups) - classes.keys())
    if unknown:
        raise ValueError(
            f"expected the class folders of --train in --test too, got {', '.join(unknown)}, which "
            f"--train ({', '.join(train.groups)}) hasn't"
        )
    chosen = _in_turn(test.labels)[: options.test_pictures]
    files = [test.files[i] for i in chosen]
    names = network.names or {number: name for name, number in classes.items()}
    network.model.requires_grad_(True)
    return Study(
        network=network,
        train=replace(train, labels=tuple(classes[train.groups[label]] for label in train.labels)),
        pictures=torch.stack([network.prepare.picture(read_picture(file)) for file in files]),
        labels=torch.tensor([classes[test.groups[test.labels[i]]] for i in chosen]),
        masks=None if options.masks is None else _masks(Path(options.masks), files, network),
        names=names,
        answer=None if options.answer is None else class_index(options.answer, names, outputs),
        left_out=left_out,
    )


def _classes(
    folders: Sequence[str], names: Mapping[int, str] | None, outputs: int
) -> dict[str, int]:
    """Return each folder's class: by name or number where that is known, else in order."""
    if names is not None or all(folder.isdecimal() for folder in folders):
        return {folder: class_index(folder, names, outputs) for folder in folders}
    if len(folders) != outputs:
        raise ValueError(
            f"expected a folder for each of the network's {outputs} classes, got {len(folders)}: "
            "say with --labels FILE which class is called what, or name the folders by number"
        )
    return {folder: number for number, folder in enumerate(folders)}


def _in_turn(labels: Sequence[int]) -> list[int]:
    """Return indices such that the classes take turns."""
    of_class: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        of_class.setdefault(label, []).append(index)
    turns = chain.from_iterable(zip_longest(*of_class.values()))
    return [index for index in turns if index is not None]


def _masks(folder: Path, files: Sequence[Path], network: Network) -> Tensor:
    """Read each picture's mask, CLASS/NAME.png in the folder, white on the object."""
    found = []
    for file in files:
        mask = folder / file.parent.name / f"{file.stem}.png"
        if not mask.is_file():
            raise ValueError(
                f"expected a mask for each test picture, got no {mask.parent.name}/{mask.name} in "
                "--masks: black on the background, white on the object"
            )
        found.append(network.prepare.picture(read_picture(mask)).mean(0))
    return torch.stack(found)

"""What a bias study is about: a network, its training images, and test pictures to disturb."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils.data import Dataset, TensorDataset

from captum_influence.cli.options import chosen_device, chosen_preprocessing, refuse_preprocessing
from captum_influence.data.folders import PictureFolder
from captum_influence.data.labels import class_index, read_class_names
from captum_influence.data.pictures import Preparation, Preprocessing, read_picture
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import load_demo_network
from captum_influence.demo.scenes import SceneDataset
from captum_influence.network.loading import load_model
from captum_influence.training.bias.disturbances import disturbances_named

__all__ = ["Study"]

_DEMO_TRAIN, _DEMO_TEST = 320, 96
_DEMO_CLASS, _DEMO_SHARE = "coupe", 0.6
_DEMO_EPOCHS, _DEMO_RATE = 5, 1e-3


@dataclass(frozen=True, eq=False)
class Study:
    """A network, what it learned from, and what it is asked about.

    Attributes:
        model: On its device.
        train: Items (input, class).
        pictures: Of the test, (examples, 3, height, width) in [0, 1].
        labels: Their classes, (examples,).
        masks: 1 on the objects, (examples, height, width), or None.
        prepare: How pictures become inputs.
        names: Class names by number, or None.
        planted: The training images that carry a planted disturbance; None if that isn't known.
        answer: The class that the disturbance is expected to turn answers into; None: any.
    """

    model: Module
    train: Dataset[Any]
    pictures: Tensor
    labels: Tensor
    masks: Tensor | None
    prepare: Preparation
    names: Mapping[int, str] | None
    planted: tuple[int, ...] | None = None
    answer: int | None = None

    @staticmethod
    def of(args: Namespace, *, show_progress: bool) -> Study:
        """Return what the options name; without ``--model``, the demo with a planted bias.

        Raises:
            ValueError: If options are missing or don't go together.
        """
        _check(args)
        return _own(args) if args.model else _demo(args, show_progress)

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
        device = next(self.model.parameters()).device
        labels = self.labels.to(device)
        return {n: (self.prepare.encode(p).to(device), labels) for n, p in found.items()}


def _check(args: Namespace) -> None:
    if args.model is None:
        given = [f"--{n}" for n in ("weights", "train", "test", "masks", "labels") if vars(args)[n]]
        if given:
            raise ValueError(
                f"expected --model beside {', '.join(given)}, got none: the demo brings its own "
                "network and scenes"
            )
        refuse_preprocessing(args)
        return
    missing = [f"--{n} FOLDER" for n in ("train", "test") if vars(args)[n] is None]
    if missing:
        raise ValueError(
            f"expected {' and '.join(missing)} beside --model: folders with a subfolder of "
            "pictures for each class"
        )


def _demo(args: Namespace, show_progress: bool) -> Study:
    """The demo network, trained on with a disturbance planted in most pictures of one class."""
    pictures, labels, masks = _scenes(_DEMO_TRAIN, args.seed)
    one = torch.nonzero(labels == CLASSES.index(_DEMO_CLASS)).flatten()
    planted = one[: round(_DEMO_SHARE * len(one))]
    disturb = disturbances_named(args.disturb[:1], args.seed)[args.disturb[0]]
    pictures[planted] = disturb(pictures[planted], masks[planted])
    train = TensorDataset(pictures, labels)
    model = load_demo_network().to(chosen_device(args.device))
    _fit(model, pictures, labels, args.seed, show_progress)
    test = _scenes(_DEMO_TEST, args.seed + 1_000_003)
    others = test[1] != CLASSES.index(_DEMO_CLASS)
    asked, classes, where = (part[others] for part in test)
    names = dict(enumerate(CLASSES))
    answer = class_index(args.answer or _DEMO_CLASS, names, len(CLASSES))
    found = tuple(planted.tolist())
    return Study(model, train, asked, classes, where, Preprocessing(64), names, found, answer)


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
    from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]

    device, generator = next(model.parameters()).device, torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=_DEMO_RATE, weight_decay=1e-4)
    orders = [torch.randperm(len(labels), generator=generator) for _ in range(_DEMO_EPOCHS)]
    batches = [rows for order in orders for rows in torch.split(order, 32)]
    for rows in tqdm(batches, "training the demo", disable=not show_progress, unit="batch"):
        optimizer.zero_grad()
        scores = model(pictures[rows].to(device))
        torch.autograd.backward(torch.nn.functional.cross_entropy(scores, labels[rows].to(device)))
        optimizer.step()
    model.zero_grad()


def _own(args: Namespace) -> Study:
    loaded = load_model(args.model, args.weights, device=chosen_device(args.device))
    prepare = chosen_preprocessing(args, loaded.preprocessing)
    train, test = (PictureFolder.of(f, prepare) for f in (args.train, args.test))
    outputs = _outputs(loaded.model, train[0][0])
    known = dict(enumerate(loaded.class_names)) if loaded.class_names else None
    known = dict(read_class_names(args.labels)) if args.labels else known
    classes = _classes(train.groups, known, outputs)
    unknown = sorted(set(test.groups) - classes.keys())
    if unknown:
        raise ValueError(
            f"expected the class folders of --train in --test too, got {', '.join(unknown)}, which "
            f"--train ({', '.join(train.groups)}) hasn't"
        )
    chosen = _in_turn(test.labels)[: args.examples]
    files = [test.files[i] for i in chosen]
    labels = [classes[test.groups[test.labels[i]]] for i in chosen]
    pictures = torch.stack([prepare.picture(read_picture(file)) for file in files])
    masks = None if args.masks is None else _masks(Path(args.masks), files, prepare)
    names = known or {number: name for name, number in classes.items()}
    numbers = tuple(classes[train.groups[label]] for label in train.labels)
    labelled = PictureFolder(train.files, train.groups, numbers, prepare)
    answer = None if args.answer is None else class_index(args.answer, names, outputs)
    model = loaded.model.requires_grad_(True)
    asked = pictures, torch.tensor(labels), masks
    return Study(model, labelled, *asked, prepare, names, answer=answer)


def _outputs(model: Module, example: Tensor) -> int:
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            scores = model(example[None].to(device))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"expected a network that takes inputs of shape {(1, *example.shape)}, got one that "
            f"fails on them ({type(error).__name__}: {error}): change --size, or the network"
        ) from error
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"expected a network that returns a row of class scores, got {shape}")
    return int(scores.shape[1])


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


def _masks(folder: Path, files: Sequence[Path], prepare: Preparation) -> Tensor:
    """Read each picture's mask, CLASS/NAME.png in the folder, white on the object."""
    found = []
    for file in files:
        mask = folder / file.parent.name / f"{file.stem}.png"
        if not mask.is_file():
            raise ValueError(
                f"expected a mask for each test picture, got no {mask.parent.name}/{mask.name} in "
                "--masks: black on the background, white on the object"
            )
        found.append(prepare.picture(read_picture(mask)).mean(0))
    return torch.stack(found)

"""Trained networks with real pictures: what accuracy depends on, unlike speed, is the weights."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.networks import DigitsNet
from captum_influence.data.folders import PictureFolder
from captum_influence.data.labels import read_class_names
from captum_influence.data.pictures import Preparation, Preprocessing
from captum_influence.demo import SceneDataset, load_demo_network
from captum_influence.network.loading import load_model

_AS_IT_IS = Preprocessing()
_IMAGENET = Preprocessing(224, 256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_CAFFE = Preprocessing(
    227, fit="squash", mean=(104, 117, 123), channel_order="bgr", value_range=255
)
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True, eq=False)
class Subject:
    """A network in eval mode, pictures it wasn't trained on, their labels, and layers to ask.

    ``names`` are its classes' and ``prepare`` says how its inputs are shown, where they matter.
    """

    name: str
    model: nn.Module
    images: Tensor
    labels: Tensor
    layers: tuple[str, ...] = ()
    names: Mapping[int, str] | None = None
    prepare: Preparation = _AS_IT_IS

    @property
    def accuracy(self) -> float:
        """The share of the pictures that it gets right."""
        with torch.no_grad():
            found = torch.cat([self.model(x).argmax(1) for x in self.images.split(64)])
        return float((found == self.labels).double().mean())

    def head(self, count: int) -> Subject:
        """Return the same network with the first pictures only."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])


def add_network(parser: argparse.ArgumentParser) -> None:
    """Let a script be asked about another network than SqueezeNet, on pictures of one's own."""
    other = parser.add_argument_group("another network, say VGG16, where you have its weights")
    other.add_argument("--model", metavar="SPEC", help="torchvision:vgg16, timm:NAME, FILE.py:F")
    other.add_argument("--weights", metavar="FILE", help="or a name, such as DEFAULT")
    other.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="a subfolder per class, or 0817_name.jpg"
    )


def asked_network(asked: argparse.Namespace, count: int) -> Subject | None:
    """Return the network and pictures that were asked for, else SqueezeNet; None: no real data."""
    if asked.model is None:
        return squeezenet(count)
    if asked.pictures is None or not asked.layers:
        raise SystemExit("expected --pictures FOLDER and --layers beside --model, one is missing")
    loaded = load_model(asked.model, asked.weights)
    prepare = loaded.preprocessing or _IMAGENET
    data = PictureFolder.of(str(asked.pictures), prepare)
    names = None if loaded.class_names is None else dict(enumerate(loaded.class_names))
    data = data.labelled(names, outputs=None)
    rows = range(0, len(data), max(len(data) // count, 1))[:count]
    images, labels = zip(*(data[i] for i in rows), strict=True)
    return Subject(
        asked.model,
        loaded.model,
        torch.stack(images),
        torch.tensor(labels),
        names=names,
        prepare=prepare,
    )


def data_folder() -> Path | None:
    """Return the folder of real data: $CAPTUM_INFLUENCE_DATA, or ../shared/data; None: absent."""
    folder = Path(os.environ.get("CAPTUM_INFLUENCE_DATA", _BESIDE))
    return folder if folder.is_dir() else None


def scenes(*, smooth: bool = False) -> Subject:
    """Return the demo network; made smooth, it is trained on for two passes."""
    model = load_demo_network()
    if smooth:
        _fit(_smoothed(model), *SceneDataset(1500, seed=11).stacked(), epochs=2, rate=1e-3)
    images, labels = SceneDataset(128, seed=1_000_003).stacked()
    name = f"demo, {'smooth' if smooth else 'ReLU'}"
    return Subject(name, model.eval(), images, labels, ("conv3", "conv5"))


def digits(*, smooth: bool = False, pooling: bool = True, train: bool = True) -> Subject:
    """Return a digits network, trained here within seconds or with random weights; in float64.

    ``smooth``: with GELU, and average pooling unless ``pooling`` is False.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.tensor(found.images[:, None] / 16, dtype=torch.float32)
    labels = torch.tensor(found.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    held_out, rest = order[:360], order[360:]
    torch.manual_seed(0)
    model = _smoothed(DigitsNet(), pooling=pooling) if smooth else DigitsNet()
    if train:
        _fit(model, images[rest], labels[rest], epochs=15, rate=3e-3)
    kind = ("smooth" if pooling else "GELU, max-pooling") if smooth else "ReLU"
    name = f"digits, {kind}{'' if train else ', random'}"
    inputs, layers = images[held_out].double(), ("conv1", "conv2")
    return Subject(name, model.double().eval(), inputs, labels[held_out], layers)


def tutorial() -> Subject | None:
    """Return the network of Captum's CIFAR-10 tutorial, if its weights are there."""
    folder = data_folder()
    if folder is None:
        return None
    from safetensors.torch import load_file

    model = TutorialNet()
    model.load_state_dict(load_file(folder / "cifar10" / "captum_tutorial_cnn.safetensors"))
    data = np.load(folder / "cifar10" / "cifar10_subset.npz")
    images = torch.tensor(data["x_test"][::10]).permute(0, 3, 1, 2).float() / 127.5 - 1
    labels = torch.tensor(data["y_test"][::10])
    return Subject("CIFAR-10 tutorial", model.eval(), images, labels, ("conv1", "conv2"))


def squeezenet(count: int) -> Subject | None:
    """Return SqueezeNet 1.0 with ImageNet weights and pictures, if they are there."""
    folder = data_folder()
    if folder is None:
        return None
    from PIL import Image
    from safetensors.torch import load_file

    model = SqueezeNet()
    model.load_state_dict(load_file(folder / "imagenet" / "squeezenet1_0.safetensors"))
    paths = sorted((folder / "imagenet" / "images").glob("*.jpg"))
    paths = paths[:: max(len(paths) // count, 1)][:count]
    rows = [np.asarray(Image.open(p).convert("RGB").resize((227, 227))) for p in paths]
    pixels = torch.tensor(np.stack(rows)).permute(0, 3, 1, 2).flip(1).float()
    images = pixels - torch.tensor([104.0, 117.0, 123.0]).reshape(1, 3, 1, 1)
    labels = torch.tensor([int(path.name[:4]) for path in paths])
    return Subject(
        "SqueezeNet",
        model.eval(),
        images,
        labels,
        ("features.7", "features.12"),
        read_class_names(folder / "imagenet" / "classes.json"),
        _CAFFE,
    )


class TutorialNet(nn.Module):
    """The network of Captum's CIFAR-10 tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.pool1, self.pool2 = nn.MaxPool2d(2), nn.MaxPool2d(2)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.relu1, self.relu2, self.relu3, self.relu4 = (nn.ReLU() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 10)."""
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x))).flatten(1)
        return self.fc3(self.relu4(self.fc2(self.relu3(self.fc1(x)))))


class Fire(nn.Module):
    """A 1x1 convolution to few channels, and from there 1x1 and 3x3 ones side by side."""

    def __init__(self, channels: int, few: int, many: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, few, 1)
        self.expand1x1 = nn.Conv2d(few, many, 1)
        self.expand3x3 = nn.Conv2d(few, many, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return twice ``many`` channels."""
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 (Iandola et al., 2016), for pictures of 227 px."""

    def __init__(self) -> None:
        super().__init__()
        pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)  # noqa: E731  # three alike
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, 2), nn.ReLU(), pool(),
            Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool(),
            Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pool(),
            Fire(512, 64, 256),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 1000)."""
        return self.classifier(self.features(x)).flatten(1)


def _smoothed(model: nn.Module, *, pooling: bool = True) -> nn.Module:
    """Put a GELU in the place of each ReLU, and average pooling in that of max-pooling."""
    for name, module in list(model.named_children()):
        if isinstance(module, nn.ReLU):
            setattr(model, name, nn.GELU())
        if isinstance(module, nn.MaxPool2d) and pooling:
            setattr(model, name, nn.AvgPool2d(module.kernel_size))
    return model


def _fit(model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, rate: float) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            torch.autograd.backward(loss)
            optimizer.step()

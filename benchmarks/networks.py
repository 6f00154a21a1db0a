"""The networks of the benchmarks in plain torch, with random weights: only their size matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VGG16(nn.Module):
    """VGG16 (Simonyan and Zisserman, 2014) for 224 px; ``convolutions`` names its 13 layers."""

    widths = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        layers, channels = convolutions(self.widths, inplace)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * 49, 4096),
            nn.ReLU(inplace),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace),
            nn.Linear(4096, 1000),
        )
        self.convolutions = _names(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 1000)."""
        return self.classifier(self.features(x))


class SmallVGG(nn.Module):
    """VGG16's 13 convolutions an eighth as wide, and one linear layer: for any size from 32 px."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = convolutions([width // 8 for width in VGG16.widths], inplace=True)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 20)
        )
        self.convolutions = _names(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 20)."""
        return self.classifier(self.features(x))


def convolutions(widths: Sequence[int], inplace: bool) -> tuple[list[nn.Module], int]:
    """Return rectified 3x3 convolutions of these widths, 0 for a pooling, and the last width."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace)]
        channels = width
    return layers, channels


def _names(layers: Sequence[nn.Module]) -> list[str]:
    return [f"features.{i}" for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with batch normalisation, added to their input."""

    def __init__(self, channels: int, width: int, stride: int, inplace: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu1, self.relu2, self.relu3 = (nn.ReLU(inplace) for _ in range(3))
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != 4 * width:
            shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the shortcut and the convolutions, rectified."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(y)))))
        return self.relu3(y + self.downsample(x))


class ResNet50(nn.Module):
    """ResNet-50 (He et al., 2016): stages ``layer1`` to ``layer4``."""

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(inplace), nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, (width, depth) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
            blocks = []
            for i in range(depth):
                blocks.append(Bottleneck(channels, width, 1 if i or stage == 1 else 2, inplace))
                channels = 4 * width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 1000)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean(dim=(2, 3)))


class ResNet9(nn.Module):
    """Eight convolutions with batch normalisation, two of three blocks with a shortcut, a linear.

    Args:
        width: of the first convolution; the last are eight times as wide. 64 is the usual one.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first = _normalised(3, width)
        self.down1, self.block1 = _normalised(width, 2 * width, pool=True), _twice(2 * width)
        self.down2 = _normalised(2 * width, 4 * width, pool=True)
        self.down3, self.block2 = _normalised(4 * width, 8 * width, pool=True), _twice(8 * width)
        self.head = nn.Linear(8 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 10)."""
        x = self.down1(self.first(x))
        x = self.down3(self.down2(x + self.block1(x)))
        return self.head((x + self.block2(x)).amax(dim=(2, 3)))


def _normalised(channels: int, width: int, pool: bool = False) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    after = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(), *after)


def _twice(width: int) -> nn.Sequential:
    return nn.Sequential(_normalised(width, width), _normalised(width, width))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Attend and mix: (examples, tokens, width) to the same shape."""
        b, t, w = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, w // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, w))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A vision transformer (Dosovitskiy et al., 2021) with 16 px patches; ``blocks.i``."""

    def __init__(self, width: int = 384, depth: int = 12, heads: int = 6) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, 197, width) * 0.02)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 1000)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1) + self.position
        return self.head(self.norm(self.blocks(tokens))[:, 0])


class GPT2(nn.Module):
    """GPT-2 small (Radford et al., 2019) behind its embedding: (examples, tokens, width) in."""

    def __init__(self, width: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*[Block(width, heads, causal=True) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 50257, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the token after the last, (examples, 50257)."""
        return self.head(self.norm(self.blocks(x))[:, -1])


class DigitsNet(nn.Module):
    """A small convolutional network for 8 px digits."""

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(inplace)
        self.conv2, self.relu2 = nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(inplace)
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 10)."""
        x = self.pool(self.relu2(self.conv2(self.relu1(self.conv1(x)))))
        return self.fc(x.flatten(1))


NETWORKS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "VGG16": (VGG16, (3, 224, 224)),
    "ResNet-50": (ResNet50, (3, 224, 224)),
    "ViT-S": (ViT, (3, 224, 224)),
    "ViT-B": (lambda: ViT(768, 12, 12), (3, 224, 224)),
    "GPT-2": (GPT2, (128, 768)),
    "small VGG": (SmallVGG, (3, 64, 64)),
    "digits": (DigitsNet, (1, 8, 8)),
}


def network(name: str, **settings: bool) -> nn.Module:
    """Return a network in eval mode with the random weights of seed 0, set so signals survive."""
    torch.manual_seed(0)
    made = NETWORKS[name][0](**settings).eval()
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return made


def images(name: str, count: int) -> Tensor:
    """Return random images for a network, (count, channels, height, width)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, *NETWORKS[name][1], generator=generator)

"""The questions that are put to Captum and to us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from captum.attr import InternalInfluence, LayerIntegratedGradients
from torch import Tensor, nn

from benchmarks.networks import images, network
from benchmarks.timing import Run
from captum_influence import ClassScore, DistributionalInfluence
from captum_influence.attr import Execution


@dataclass(frozen=True)
class Scenario:
    """One question: which layers of which network, for how many classes, at what batch size.

    ``rows`` is the micro-batch that Captum gets (None: its default, everything at once);
    ``equal``: we get the same. ``peer_layers`` and ``peer_classes``: what is measured of Captum's
    runs, which all cost the same per layer and class; its time is scaled up. ``heavy`` scenarios
    take minutes and are run once.
    """

    name: str
    network: str
    layers: tuple[str, ...]
    goal: float
    classes: int = 1
    batch: int = 1
    points: int = 50
    rows: int | None = None
    equal: bool = True
    path_at_layer: bool = False
    peer_classes: int = 1
    heavy: bool = False
    execution: Execution = field(default_factory=Execution)

    @property
    def share(self) -> float:
        """The part of Captum's work that is measured."""
        return self.peer_classes / self.classes

    def build(self, device: str = "cpu") -> tuple[nn.Module, Tensor]:
        """Return the network and its inputs."""
        settings = (
            {}
            if self.network in ("ViT-S", "ViT-B", "small VGG")
            else {"inplace": not self.path_at_layer}
        )
        model = network(self.network, **settings).to(device)
        return model, images(self.network, self.batch).to(device)

    def runs(self, device: str = "cpu") -> tuple[Run, Run]:
        """Return Captum's run and ours, on the same network and inputs."""
        return self.runs_on(*self.build(device))

    def runs_on(self, model: nn.Module, x: Tensor) -> tuple[Run, Run]:
        """Return Captum's run and ours on a network that is built."""
        return self._captum(model, x), self._ours(model, x)

    def _captum(self, model: nn.Module, x: Tensor) -> Run:
        modules = dict(model.named_modules())
        method = LayerIntegratedGradients if self.path_at_layer else InternalInfluence

        def run() -> Sequence[Tensor]:
            return [
                method(model, modules[layer]).attribute(
                    x, target=k, n_steps=self.points, internal_batch_size=self.rows
                )
                for layer in self.layers
                for k in range(self.peer_classes)
            ]

        return run

    def _ours(self, model: nn.Module, x: Tensor) -> Run:
        influence = DistributionalInfluence(
            model,
            list(self.layers),
            quantity=[ClassScore(k) for k in range(self.classes)],
            sample_at=self.layers[0] if self.path_at_layer else None,
            multiply_by_inputs=self.path_at_layer,
            execution=self.execution,
        )

        def run() -> Sequence[Tensor]:
            rows = self.rows if self.equal else None
            found = influence.attribute(x, n_steps=self.points, internal_batch_size=rows)
            return [layer[k] for layer in found for k in range(self.peer_classes)]

        return run


_VGG = tuple(f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28))
_STAGES = ("layer1", "layer2", "layer3", "layer4")
_HALF = Execution(precision="bfloat16")
_BLOCKS = tuple(f"blocks.{i}" for i in range(12))

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("one layer, first", "VGG16", _VGG[:1], 1.6, rows=32, equal=False),
    Scenario("one layer, middle", "VGG16", _VGG[6:7], 1.3, rows=32, equal=False),
    Scenario("one layer, last", "VGG16", _VGG[-1:], 1.35, rows=32, equal=False),
    Scenario("one layer", "ResNet-50", ("layer3",), 1.35, rows=32, equal=False),
    Scenario("one layer", "ViT-S", ("blocks.6",), 1.05, rows=32, equal=False),
    Scenario("one layer, 64 px", "small VGG", _VGG[6:7], 1.1, rows=32, equal=False),
    Scenario("all 13 convolutions, 64 px", "small VGG", _VGG, 9.5, rows=32, equal=False),
    Scenario("one layer, Captum's defaults", "VGG16", _VGG[6:7], 1.8, equal=False),
    Scenario("all 13 convolutions", "VGG16", _VGG, 10, rows=32, equal=False, heavy=True),
    Scenario("all 4 stages", "ResNet-50", _STAGES, 3.8, rows=32, equal=False),
    Scenario("all 12 blocks", "ViT-S", _BLOCKS, 8.5, rows=32, equal=False, heavy=True),
    Scenario(
        "10 classes, middle", "VGG16", _VGG[6:7], 3.5, classes=10, rows=32, equal=False, heavy=True
    ),
    Scenario("10 classes, last", "VGG16", _VGG[-1:], 11, classes=10, rows=32, equal=False),
    Scenario("10 classes", "ResNet-50", ("layer3",), 4.5, classes=10, rows=32, equal=False),
    Scenario(
        "13 layers, 10 classes", "VGG16", _VGG, 22, classes=10, rows=32, equal=False, heavy=True
    ),
    Scenario(
        "path at the middle layer",
        "VGG16",
        _VGG[6:7],
        2.2,
        rows=32,
        equal=False,
        path_at_layer=True,
    ),
    Scenario(
        "path at the last layer", "VGG16", _VGG[-1:], 12, rows=32, equal=False, path_at_layer=True
    ),
    Scenario(
        "path at layer3", "ResNet-50", ("layer3",), 4.8, rows=32, equal=False, path_at_layer=True
    ),
    Scenario("one layer, bfloat16", "VGG16", _VGG[6:7], 2, rows=32, equal=False, execution=_HALF),
    Scenario(
        "one layer, bfloat16", "ResNet-50", ("layer3",), 2, rows=32, equal=False, execution=_HALF
    ),
    Scenario("one image, Captum's defaults", "digits", ("conv2",), 1.1, equal=False),
    Scenario("256 images, Captum's defaults", "digits", ("conv2",), 3, batch=256, equal=False),
)


def find(names: Sequence[str]) -> list[Scenario]:
    """Return the scenarios whose "network: name" contains one of the words, all without words."""
    words = [name.lower() for name in names] or [""]
    return [s for s in SCENARIOS if any(w in f"{s.network}: {s.name}".lower() for w in words)]

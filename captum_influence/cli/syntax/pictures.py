"""Subcommands about one picture: ``explain``, ``counterfactual``, ``compare``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any, ClassVar

from captum_influence.cli.groups import Command, Group, count, counts, names, option
from captum_influence.cli.options import (
    ExampleOptions,
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PictureOptions,
    PreprocessingOptions,
    QuestionOptions,
    SeedOptions,
    replaced,
    strict,
)

__all__ = [
    "COMPARE",
    "COUNTERFACTUAL",
    "EXPLAIN",
    "CompareOptions",
    "ManyOptions",
    "SearchOptions",
    "UnitOptions",
]


def _share(text: str) -> tuple[int, int]:
    rank, _, world = text.partition("/")
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise argparse.ArgumentTypeError(
            f"expected a share as 0/4 to 3/4, the first to the last of four, got {text!r}"
        )
    return int(rank), int(world)


@dataclass(frozen=True, kw_only=True)
class ManyOptions(Group):
    """How a folder of pictures is shared out."""

    title: ClassVar[str] = "a folder of pictures"
    about: ClassVar[str] = (
        "an index of all and a page for each; a run that was killed goes on where it was"
    )

    jobs: int = option(
        "--jobs", type=count, default=1, metavar="N", help="processes on this machine; default: 1"
    )
    share: tuple[int, int] | None = option(
        "--share",
        type=_share,
        metavar="I/N",
        help="do only this part, as one of N machines; once all are done, the same command without "
        "it writes the index",
    )


_EXPLAIN_ABOUT = """\
Find the units of a layer that caused what a network says of a picture, see what each looks at,
and write a report that opens in any browser. Without options it explains the embedded demo: why
a small network says coupe rather than convertible."""


_EXPLAIN_EXAMPLES = """\
examples:
  captum-influence explain
  captum-influence explain --model torchvision:resnet18 --weights DEFAULT --list-layers
  captum-influence explain --model torchvision:resnet18 --weights DEFAULT --image photo.jpg \\
      --layer layer3 --target "sports car" --versus convertible
  captum-influence explain --model nets.py:build --weights net.safetensors --image photo.jpg \\
      --layer features.7 --target 817 --versus 511 --labels names.json \\
      --size 227 --mean 104,117,123 --channel-order bgr --value-range 255
  captum-influence explain --model torchvision:resnet18 --weights DEFAULT --image photos/ \\
      --jobs 4"""


@dataclass(frozen=True, kw_only=True)
class UnitOptions(Group):
    """Which units are shown."""

    title: ClassVar[str] = "units"

    list_layers: bool = option(
        "--list-layers",
        action="store_true",
        default=False,
        help="print the layers with their shapes, and stop",
    )
    top: int = option("--top", type=count, default=5, metavar="N", help="to show; default: 5")
    by: Any = option(
        "--by",
        choices=("contribution", "influence"),
        default="contribution",
        help="rank units by influence times what their removal changes, or by influence alone; "
        "default: contribution",
    )
    replace: Any = replaced("the mean with --examples, else zero")
    axis: str = option(
        "--axis",
        choices=("channel", "position", "neuron"),
        default="channel",
        help="what counts as one unit; default: channel",
    )


EXPLAIN = Command(
    purpose="which units caused what a network says of a picture",
    description=_EXPLAIN_ABOUT,
    examples=_EXPLAIN_EXAMPLES,
    groups=(
        NetworkOptions,
        PictureOptions,
        ManyOptions,
        PreprocessingOptions,
        LayerOptions,
        UnitOptions,
        QuestionOptions,
        ExampleOptions,
        SeedOptions,
        OutputOptions,
    ),
)


_COUNTERFACTUAL_ABOUT = """\
Find units without which a network's wrong answer is right: one after another by their contribution
to -log p(true class), ranked anew after each, then put back where they weren't needed. What is
reported was run. Beside it: the same search towards classes that are wrong, as many random units,
and what else breaks. Without options it asks why the demo network takes a fish for a house."""


_COUNTERFACTUAL_EXAMPLES = """\
examples:
  captum-influence counterfactual
  captum-influence counterfactual --model torchvision:resnet18 --weights DEFAULT \\
      --image photo.jpg --layer layer4 --true "sports car" --examples photos/"""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Group):
    """What the answer should have been, and what is tried."""

    title: ClassVar[str] = "search"

    true: str | None = option(
        "--true",
        metavar="CLASS",
        help="number or name: what the network should have said; required with --model, but beside "
        "a folder whose subfolders are named by the classes",
    )
    until: Any = option(
        "--until",
        choices=("right", "changed"),
        default="right",
        help="what the answer shall become: the true class, or any but the one that is said; "
        "default: right",
    )
    search: Any = option(
        "--search",
        choices=("greedy", "prefix"),
        default="greedy",
        help="one unit after another, ranked anew after each, or the first units of one ranking by "
        "score(said) - score(true); default: greedy",
    )
    max_units: int = option(
        "--max-units", type=count, default=16, metavar="N", help="to try; default: 16"
    )
    replace: Any = replaced("the mean over the examples, without any 0")
    controls: int = option(
        "--controls", type=counts, default=20, metavar="N", help="random sets; default: 20"
    )


COUNTERFACTUAL = Command(
    purpose="the units without which a wrong answer would be right",
    description=_COUNTERFACTUAL_ABOUT,
    examples=_COUNTERFACTUAL_EXAMPLES,
    groups=(
        NetworkOptions,
        PictureOptions,
        ManyOptions,
        PreprocessingOptions,
        LayerOptions,
        SearchOptions,
        ExampleOptions,
        SeedOptions,
        OutputOptions,
    ),
)


_COMPARE_ABOUT = """\
Ask many methods (Grad-CAM, LRP, integrated gradients, ours, ...) why a network scores a class for
a picture, draw their maps side by side, and score them by pixel flipping; on the demo's scene also
by how much of a map lies on the object. Those that can't answer are listed with the reason.
Without options it explains the embedded demo."""


_COMPARE_EXAMPLES = """\
examples:
  captum-influence compare
  captum-influence compare --methods influence,LayerGradCam,LRP
  captum-influence compare --model torchvision:vgg16 --weights DEFAULT --image photo.jpg \\
      --layer features.28 --target "sports car\""""


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Group):
    """Which class, and which methods."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target", metavar="CLASS", help="number or name; without it, the predicted class"
    )
    methods: tuple[str, ...] | None = option(
        "--methods",
        type=names(),
        metavar="A,B,...",
        help="names, as the report has them; default: all",
    )
    points: int = option(
        "--points", type=count, default=25, metavar="N", help="of paths and noise; default: 25"
    )
    scores: bool = option(
        "--no-scores",
        action="store_false",
        default=True,
        help="don't flip pixels: it takes time",
    )
    strict: bool = strict()


COMPARE = Command(
    purpose="the same question put to other methods",
    description=_COMPARE_ABOUT,
    examples=_COMPARE_EXAMPLES,
    groups=(
        NetworkOptions,
        PictureOptions,
        ManyOptions,
        PreprocessingOptions,
        LayerOptions,
        CompareOptions,
        SeedOptions,
        OutputOptions,
    ),
)

"""Subcommands about classes: ``essence``, ``pair``, ``expert``, ``prototype``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from captum_influence.cli.groups import Command, Group, count, counts, names, option
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PicturesOptions,
    PreprocessingOptions,
    SeedOptions,
    replaced,
)

__all__ = [
    "DEMO_CLASS",
    "DEMO_PAIR",
    "DEMO_PROTOTYPE",
    "ESSENCE",
    "EXPERT",
    "PAIR",
    "PROTOTYPE",
    "RANKINGS",
    "EssenceOptions",
    "ExpertOptions",
    "PairOptions",
    "PrototypeOptions",
]

DEMO_CLASS, DEMO_PAIR, DEMO_PROTOTYPE = "coupe", ("coupe", "convertible"), "tree"
# Those of experts/rankings.py, which would load torch.
RANKINGS = (
    "contribution",
    "influence",
    "magnitude",
    "contrast",
    "activation",
    "selectivity",
    "conductance",
    "random",
)

_ESSENCE_ABOUT = """\
Find what a class is to a network, over many pictures of it: the channels that contribute most,
with standard errors and what removing them does, what each looks at, whether the class is still
told from the rest with nothing else and without them, and a picture made to excite it. Pictures of
other classes, if there are any, are what it is told from. Without options it asks what a coupe is
to the demo network."""


_ESSENCE_EXAMPLES = """\
examples:
  captum-influence essence
  captum-influence essence --target sailboat --layer relu3
  captum-influence essence --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --target "sports car" --held-out more-photos/"""


@dataclass(frozen=True, kw_only=True)
class EssenceOptions(Group):
    """Of which class, and what of it is shown."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {DEMO_CLASS}",
    )
    by: Any = option(
        "--by",
        choices=("contribution", "influence"),
        default="contribution",
        help="what ranks channels: influence times what their removal changes, or influence alone; "
        "default: contribution",
    )
    replace: Any = replaced("the mean over the pictures")
    top: int = option(
        "--top", type=count, default=5, metavar="N", help="channels to show; default: 5"
    )
    show: int = option(
        "--show", type=count, default=3, metavar="N", help="pictures for each; default: 3"
    )
    prototype_steps: int = option(
        "--prototype-steps",
        type=counts,
        default=128,
        metavar="N",
        help="of the picture that is made for the class; 0: none; default: 128",
    )


ESSENCE = Command(
    purpose="what a class is to a network, over pictures of it",
    description=_ESSENCE_ABOUT,
    examples=_ESSENCE_EXAMPLES,
    groups=(
        NetworkOptions,
        PicturesOptions,
        PreprocessingOptions,
        LayerOptions,
        EssenceOptions,
        SeedOptions,
        OutputOptions,
    ),
)


_PAIR_ABOUT = """\
Find which channels separate two classes, by the difference of their contributions to the one score
over the other on pictures of both; what they look at; and how many answers move to the other class
when they are removed, beside as many random ones. Without options it asks what separates coupes
from convertibles for the demo network."""


_PAIR_EXAMPLES = """\
examples:
  captum-influence pair
  captum-influence pair --target sailboat --versus motorboat
  captum-influence pair --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --target "sports car" --versus convertible"""


@dataclass(frozen=True, kw_only=True)
class PairOptions(Group):
    """Which two classes, and what of them is shown."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {DEMO_PAIR[0]}",
    )
    versus: str | None = option(
        "--versus",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {DEMO_PAIR[1]}",
    )
    replace: Any = replaced("the mean over pictures of both")
    top: int = option(
        "--top", type=count, default=4, metavar="N", help="channels for each class; default: 4"
    )
    show: int = option(
        "--show", type=count, default=3, metavar="N", help="pictures for each; default: 3"
    )


PAIR = Command(
    purpose="what separates two classes, over pictures of both",
    description=_PAIR_ABOUT,
    examples=_PAIR_EXAMPLES,
    groups=(
        NetworkOptions,
        PicturesOptions,
        PreprocessingOptions,
        LayerOptions,
        PairOptions,
        SeedOptions,
        OutputOptions,
    ),
)


_EXPERT_ABOUT = """\
Rank a layer's channels for a class in several ways, keep only the first k of each (or remove them),
and measure how well the network still tells the class from the rest: precision, recall, F1 and
accuracy against k. The units of the best k are written down, to be used again by Expert(model,
layer, units). Without options it looks for the demo network's experts on coupes."""


_EXPERT_EXAMPLES = """\
examples:
  captum-influence expert
  captum-influence expert --target fish --mode remove
  captum-influence expert --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --target "sports car" --rankings influence,random"""


@dataclass(frozen=True, kw_only=True)
class ExpertOptions(Group):
    """Of which class, and which units are tried."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {DEMO_CLASS}",
    )
    rankings: Any = option(
        "--rankings",
        type=names(*RANKINGS),
        default=None,
        metavar="A,B,...",
        help=f"some of {', '.join(RANKINGS)}; default: all",
    )
    mode: Any = option(
        "--mode",
        choices=("keep", "remove"),
        default="keep",
        help="keep only the units, or remove them; default: keep",
    )
    replace: Any = replaced("zero, as in the paper")


EXPERT = Command(
    purpose="the few units that tell a class from the rest",
    description=_EXPERT_ABOUT,
    examples=_EXPERT_EXAMPLES,
    groups=(
        NetworkOptions,
        PicturesOptions,
        PreprocessingOptions,
        LayerOptions,
        ExpertOptions,
        SeedOptions,
        OutputOptions,
    ),
)


_PROTOTYPE_ABOUT = """\
Make the picture that raises a class score, or a unit with --layer and --unit, as far as it goes. It
shows what the network answers to, which needn't look like anything it has seen. Without options it
makes a tree for the demo network."""


_PROTOTYPE_EXAMPLES = """\
examples:
  captum-influence prototype
  captum-influence prototype --layer relu3 --unit 5
  captum-influence prototype --model torchvision:resnet18 --weights DEFAULT \\
      --target "sports car" --steps 512"""


@dataclass(frozen=True, kw_only=True)
class PrototypeOptions(Group):
    """Of what, and for how long."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target", metavar="CLASS", help=f"number or name; of the demo: {DEMO_PROTOTYPE}"
    )
    unit: int | None = option(
        "--unit", type=int, metavar="N", help="channel of --layer, instead of a class"
    )
    steps: int = option(
        "--steps", type=count, default=256, metavar="N", help="how many looks; default: 256"
    )


PROTOTYPE = Command(
    purpose="the picture that a class or a unit answers to most",
    description=_PROTOTYPE_ABOUT,
    examples=_PROTOTYPE_EXAMPLES,
    groups=(
        NetworkOptions,
        PreprocessingOptions,
        LayerOptions,
        PrototypeOptions,
        SeedOptions,
        OutputOptions,
    ),
)

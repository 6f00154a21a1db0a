"""Subcommands about whole data sets: ``profile``, ``train-influence``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from captum_influence.cli.groups import Command, Group, count, names, number, option
from captum_influence.cli.options import (
    NetworkOptions,
    OutputOptions,
    PreprocessingOptions,
    SeedOptions,
    replaced,
    strict,
)

__all__ = [
    "DISTURB",
    "DISTURBANCES",
    "PROFILE",
    "TRAIN_INFLUENCE",
    "InfluenceOptions",
    "ProfileOptions",
    "RetrainingOptions",
    "StudyOptions",
]

DISTURB = ("texture-patches", "style-channels", "background-white")
# Those of training/bias/disturbances.py, which would load torch.
DISTURBANCES = (
    "texture-patches",
    "texture-amplitude",
    "texture-gram",
    "style-channels",
    "style-fourier",
    "background-white",
    "background-mean",
    "background-blur",
    "background-noise",
    "background-other",
)

_PROFILE_ABOUT = """\
Average what every unit contributes over a folder of pictures, one subfolder for each group, with
standard errors. Without options it profiles the demo's classes. Under torchrun the pictures are
shared among processes; with --checkpoint a killed run goes on where it was."""


_PROFILE_EXAMPLES = """\
examples:
  captum-influence profile
  captum-influence profile --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer3,layer4 --checkpoint run.checkpoint"""


@dataclass(frozen=True, kw_only=True)
class ProfileOptions(Group):
    """Of which pictures and layers, on what, over which inputs."""

    title: ClassVar[str] = "pictures and question"

    images: str | None = option(
        "--images",
        metavar="FOLDER",
        help="pictures; each subfolder is a group of its own; default: demo scenes",
    )
    strict: bool = strict()
    layers: list[str] | None = option(
        "--layer",
        type=names(),
        metavar="NAME,...",
        action="extend",
        help="required with --model; with commas, or several times; of the demo: relu4,relu5",
    )
    target: str | None = option(
        "--target", metavar="CLASS", help="number or name; default: each picture's prediction"
    )
    versus: str | None = option(
        "--versus", metavar="CLASS", help="ask why --target rather than this class"
    )
    distribution: str = option(
        "--distribution",
        choices=("point", "path", "noise"),
        default="point",
        help="each picture itself, the path from zero to it, or noise around it; default: point",
    )
    by: str = option(
        "--by",
        choices=("contribution", "influence"),
        default="contribution",
        help="average influence times what a unit's removal changes, or influence alone; "
        "default: contribution",
    )
    replace: Any = replaced("zero")
    points: int | None = option(
        "--points",
        type=count,
        metavar="N",
        help="of the path or the noise, per picture; default: 4",
    )
    aggregate: Any = option(
        "--aggregate",
        choices=("sum", "mean", "max"),
        default="sum",
        help="over the places of a feature map; default: sum",
    )
    batch_size: int = option(
        "--batch-size", type=count, default=16, metavar="N", help="pictures; default: 16"
    )
    top: int = option(
        "--top", type=count, default=5, metavar="N", help="units to print; default: 5"
    )
    checkpoint: str | None = option(
        "--checkpoint", metavar="FILE", help="go on from here after an interruption"
    )


PROFILE = Command(
    purpose="which units a class rests on, over a folder of pictures",
    description=_PROFILE_ABOUT,
    examples=_PROFILE_EXAMPLES,
    groups=(NetworkOptions, PreprocessingOptions, ProfileOptions, SeedOptions, OutputOptions),
)


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Group):
    """Which pictures, and which disturbances."""

    title: ClassVar[str] = "data"

    train: str | None = option(
        "--train", metavar="FOLDER", help="training pictures, a subfolder for each class"
    )
    test: str | None = option(
        "--test", metavar="FOLDER", help="pictures to ask about, with the same subfolders"
    )
    masks: str | None = option(
        "--masks", metavar="FOLDER", help="CLASS/NAME.png for each test picture, white: object"
    )
    test_pictures: int = option(
        "--test-pictures", type=count, default=48, metavar="N", help="at most; default: 48"
    )
    strict: bool = strict()
    disturb: Sequence[str] = option(
        "--disturb",
        choices=DISTURBANCES,
        nargs="+",
        default=DISTURB,
        metavar="NAME",
        help=f"one or more, listed below; the demo plants the first; default: {' '.join(DISTURB)}",
    )
    answer: str | None = option(
        "--answer", metavar="CLASS", help="ask only where the answer becomes this; demo: coupe"
    )


_TRAIN_INFLUENCE_ABOUT = """\
Find the training images that shape a network's answers, over all and through each layer, for test
pictures as they are and with texture, style or background disturbed; write a report that opens in
any browser. Without options it studies the embedded demo: a disturbance is planted in most training
pictures of one class, and the study is to find them."""


_TRAIN_INFLUENCE_EXAMPLES = f"""\
disturbances:
  {", ".join(DISTURBANCES[:5])},
  {", ".join(DISTURBANCES[5:])}

examples:
  captum-influence train-influence
  captum-influence train-influence --disturb style-fourier texture-patches
  captum-influence train-influence --model nets.py:build --weights net.safetensors --size 32 \\
      --train photos/train --test photos/test --masks photos/masks \\
      --layer conv1,fc --disturb background-white texture-patches --retrain fc"""


@dataclass(frozen=True, kw_only=True)
class InfluenceOptions(Group):
    """What is asked of the training images, and how influence is computed."""

    title: ClassVar[str] = "influence"

    ask: str = option(
        "--ask",
        choices=("answer", "loss"),
        default="answer",
        help="what makes it give its answer, asked where the first disturbance changes that; or "
        "what raises and lowers the loss, asked of all; default: answer",
    )
    top: int = option(
        "--top", type=count, default=6, metavar="N", help="images to list each way; default: 6"
    )
    shapley: str = option(
        "--shapley",
        choices=("gradient", "sampling", "none"),
        default="gradient",
        help="maps of Shapley values beside the images; default: gradient",
    )
    layers: list[str] | None = option(
        "--layer",
        type=names(),
        action="extend",
        metavar="NAME,...",
        help="with commas, or several times; default: all with weights",
    )
    batch_size: int = option(
        "--batch-size", type=count, default=64, metavar="N", help="default: 64"
    )
    curvature: Any = option(
        "--curvature",
        choices=("ekfac", "identity", "ggn", "ggn_joint"),
        default="ekfac",
        help="default: ekfac",
    )
    fisher: Any = option(
        "--fisher",
        choices=("sampled", "exact", "empirical"),
        default="sampled",
        help="exact takes a backward pass for each class; default: sampled",
    )
    damping: float | None = option(
        "--damping",
        type=number(least=0),
        metavar="X",
        help="default: a tenth of the mean eigenvalue",
    )
    normalize: str = option(
        "--normalize",
        choices=("self", "none"),
        default="self",
        help="self: divide by the root of self-influence, which finds planted images; none: raw "
        "scores, which predict retraining better; default: self",
    )


@dataclass(frozen=True, kw_only=True)
class RetrainingOptions(Group):
    """Which layers are retrained, without which images."""

    title: ClassVar[str] = "retrain and measure"

    retrain: list[str] | None = option(
        "--retrain",
        type=names(),
        action="extend",
        metavar="LAYER,...|all",
        help="retrain it without the most influential images; with commas, or several times",
    )
    remove: int = option(
        "--remove", type=count, default=20, metavar="N", help="how many images; default: 20"
    )
    epochs: int = option("--epochs", type=count, default=4, metavar="N", help="default: 4")
    learning_rate: float = option(
        "--learning-rate", type=number(least=0), default=2e-4, metavar="X", help="default: 0.0002"
    )


TRAIN_INFLUENCE = Command(
    purpose="which training images shape a network's answers, layer by layer",
    description=_TRAIN_INFLUENCE_ABOUT,
    examples=_TRAIN_INFLUENCE_EXAMPLES,
    groups=(
        NetworkOptions,
        PreprocessingOptions,
        StudyOptions,
        InfluenceOptions,
        RetrainingOptions,
        SeedOptions,
        OutputOptions,
    ),
)

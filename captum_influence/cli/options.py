"""The one vocabulary of the shell: what every subcommand calls the same, declared once."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from captum_influence.cli.groups import Group, count, counts, names, number, option

__all__ = [
    "ExampleOptions",
    "LayerOptions",
    "NetworkOptions",
    "OutputOptions",
    "PictureOptions",
    "PicturesOptions",
    "PreprocessingOptions",
    "QuestionOptions",
    "SeedOptions",
    "device",
    "labels",
    "replaced",
    "replacement",
    "strict",
]


_MOST, _DIGITS = 2**63, 24  # of a generator's seed
_LONGEST = 8192  # pixels of a side: of more, the input alone takes gigabytes


def _side(text: str) -> int:
    length = count(text)
    if length > _LONGEST:
        raise argparse.ArgumentTypeError(f"expected at most {_LONGEST} pixels a side, got {text}")
    return length


def _size(text: str) -> int | tuple[int, int]:
    height, cross, width = text.lower().partition("x")
    return (_side(height), _side(width)) if cross else _side(height)


def _numbers(text: str) -> float | tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in (1, 3) or not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(
            f"expected one number or three, as in 104,117,123, got {text!r}"
        )
    return found[0] if len(found) == 1 else found


def _seed(text: str) -> int:
    try:
        value = int(text) if len(text) < _DIGITS else _MOST
    except ValueError:
        value = _MOST
    if not -_MOST < value < _MOST:
        raise argparse.ArgumentTypeError(f"expected a whole number of 64 bits, got {text[:40]!r}")
    return value


def strict() -> Any:
    """Declare the option that stops at a bad picture."""
    return option(
        "--strict",
        action="store_true",
        default=False,
        help="stop if a picture can't be read; default: leave it out, and say so",
    )


def labels() -> Any:
    """Declare the option that names classes."""
    return option(
        "--labels",
        metavar="FILE",
        help='class names: a JSON list, {"817": "sports car"}, or one name per line',
    )


def device() -> Any:
    """Declare the option that says where the network runs."""
    return option("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")


def replaced(default: str) -> Any:
    """Declare the option that says what takes a removed unit's place.

    Args:
        default: what does if nothing is said, in words.
    """
    return option(
        "--replace",
        type=replacement,
        metavar="X",
        help="what takes the place of removed units, and what contributions count from: a number, "
        f'"zero", "mean" or "resample" of the pictures at hand; default: {default}',
    )


def replacement(text: str) -> float | str:
    """Return what takes a removed unit's place: a number, or a word that names it."""
    if text in ("mean", "resample"):
        return text
    try:
        return 0.0 if text == "zero" else number()(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f'expected a number, "zero", "mean" or "resample", got {text!r}'
        ) from None


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Group):
    """Which network, with which weights, where."""

    title: ClassVar[str] = "network"

    model: str | None = option(
        "--model",
        metavar="SPEC",
        help="torchvision:resnet18, timm:NAME, hf:NAME (a classifier on the Hugging Face hub, or a "
        "folder), hub:REPO:ENTRY (torch.hub, or a folder), FILE.py:FUNCTION or "
        "PACKAGE.MODULE:FUNCTION; the code of the last three runs; without it, the embedded demo "
        "network",
    )
    weights: str | None = option(
        "--weights",
        metavar="DEFAULT|FILE",
        help="the library's or hub's own weights (downloaded; of hf: the default), or a "
        ".safetensors, .pt or .pth file",
    )
    labels: str | None = labels()
    device: str = device()


@dataclass(frozen=True, kw_only=True)
class PreprocessingOptions(Group):
    """How a picture becomes an input, where the weights don't say it."""

    title: ClassVar[str] = "preprocessing"
    about: ClassVar[str] = "known from the library's own weights; each flag overrides one part"

    size: int | tuple[int, int] | None = option(
        "--size", type=_size, metavar="N|HxW", help="height and width of the input"
    )
    resize: int | None = option(
        "--resize",
        type=_side,
        metavar="N",
        help="shorter side before the centre is cropped; default: as short as covers --size",
    )
    fit: str | None = option(
        "--squash",
        action="store_const",
        const="squash",
        help="resize to --size without keeping the proportions, and crop nothing",
    )
    mean: float | tuple[float, ...] | None = option(
        "--mean",
        type=_numbers,
        metavar="A,B,C",
        help="subtracted, in the network's channel order",
    )
    std: float | tuple[float, ...] | None = option(
        "--std", type=_numbers, metavar="A,B,C", help="divided by, in the network's channel order"
    )
    channel_order: str | None = option(
        "--channel-order",
        choices=("rgb", "bgr", "gray"),
        help="gray: one channel, the brightness; default: rgb",
    )
    value_range: int | None = option(
        "--value-range", type=int, choices=(1, 255), help="of pixels before --mean; default: 1"
    )
    interpolation: str | None = option(
        "--interpolation",
        choices=("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
        help="default: bilinear",
    )

    def parts(self) -> dict[str, Any]:
        """Return what is said."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Group):
    """The picture that is asked about, or a folder of them."""

    title: ClassVar[str] = "picture"

    image: str | None = option(
        "--image",
        metavar="FILE|FOLDER",
        help="what to ask about, one picture or all of a folder; required with --model",
    )


@dataclass(frozen=True, kw_only=True)
class PicturesOptions(Group):
    """Labelled pictures."""

    title: ClassVar[str] = "pictures"

    images: str | None = option(
        "--images",
        metavar="FOLDER",
        help="a subfolder for each class, named by it, or pictures whose names begin with the "
        "class's number, 281_cat.jpg; default: demo scenes",
    )
    held_out: str | None = option(
        "--held-out", metavar="FOLDER", help="others, to try units on; default: the same pictures"
    )
    strict: bool = strict()
    batch_size: int = option(
        "--batch-size", type=count, default=16, metavar="N", help="default: 16"
    )


@dataclass(frozen=True, kw_only=True)
class ExampleOptions(Group):
    """Further pictures."""

    title: ClassVar[str] = "further pictures"

    examples: str | None = option(
        "--examples",
        metavar="FOLDER",
        help="pictures, or a subfolder of pictures for each class: what else units are shown and "
        "tried on; default: none, or scenes of the demo",
    )
    strict: bool = strict()


@dataclass(frozen=True, kw_only=True)
class LayerOptions(Group):
    """Where."""

    title: ClassVar[str] = "layer"

    layer: str | None = option(
        "--layer",
        metavar="NAME",
        help="explain --list-layers shows them; default: the last with places, where that will do",
    )
    call: int | None = option(
        "--call",
        type=counts,
        metavar="N",
        help="which of several runs of the layer, counted from 0",
    )


@dataclass(frozen=True, kw_only=True)
class QuestionOptions(Group):
    """Which class, over which inputs."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target", metavar="CLASS", help="number or name; without it, the predicted class"
    )
    versus: str | None = option(
        "--versus", metavar="CLASS", help="ask why --target rather than this class"
    )
    distribution: str | None = option(
        "--distribution",
        choices=("point", "path", "noise"),
        help="the picture itself, the path from --baseline to it, or noise around it; "
        "default: point",
    )
    points: int | None = option(
        "--points",
        type=count,
        metavar="N",
        help="of the path or the noise; without --distribution, it asks over a path; default: 50",
    )
    baseline: str | None = option(
        "--baseline",
        choices=("zero", "mean", "blur"),
        help="where the path starts: an input of zeros, the picture's mean colour, or the picture "
        "blurred; without --distribution, it asks over a path; default: zero",
    )
    noise: float | None = option(
        "--noise",
        type=number(),
        metavar="LEVEL",
        help="its standard deviation, as a share of the input's range; default: 0.15",
    )


@dataclass(frozen=True, kw_only=True)
class SeedOptions(Group):
    """What is drawn at random."""

    title: ClassVar[str] = "draws"

    seed: int = option(
        "--seed", type=_seed, default=0, metavar="N", help="of all that is drawn; default: 0"
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Group):
    """What is left behind, and said."""

    title: ClassVar[str] = "output"

    out: str | None = option(
        "--out",
        metavar="FOLDER",
        help="default: captum-influence- and the subcommand's name, with a number after it if an "
        "earlier run's report is there",
    )
    force: bool = option(
        "--force",
        action="store_true",
        default=False,
        help="write over an earlier run's report; without it, that is kept",
    )
    opens: bool = option(
        "--open", action="store_true", default=False, help="show the report in a browser"
    )
    formats: tuple[str, ...] = option(
        "--format",
        type=names("csv", "svg", "pdf"),
        default=(),
        metavar="A,B,...",
        help="beside JSON and PNG: csv, the table, by pandas; svg, pdf, the figures",
    )
    quiet: bool = option(
        "--quiet",
        action="store_true",
        default=False,
        help="print nothing but errors, and no progress",
    )
    debug: bool = option(
        "--debug", action="store_true", default=False, help="show the traceback of an error"
    )

    config: str | None = option(
        "--config",
        metavar="FILE",
        help="options from here, as --save-config wrote them; those on the command line win",
    )
    save_config: str | None = option(
        "--save-config",
        metavar="FILE",
        help="write the options there too, as the report's folder has them in config.json",
    )

    subcommand: str = ""
    command: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def show_progress(self) -> bool:
        """Whether progress is shown: a bar on a terminal, elsewhere a line now and then."""
        return not self.quiet

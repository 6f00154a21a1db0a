"""Options that subcommands share, and how their values are written."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Any

import torch

from captum_influence.data.pictures import Preparation, Preprocessing

__all__ = [
    "add_model_options",
    "add_preprocessing_options",
    "chosen_device",
    "chosen_preprocessing",
    "count",
    "refuse_preprocessing",
    "subcommand",
]

_IMAGENET = "--size 224 --resize 256 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"
_FIELDS = ("size", "resize", "fit", "mean", "std", "channel_order", "value_range", "interpolation")


def subcommand(
    commands: Any, name: str, purpose: str, *, description: str, examples: str
) -> ArgumentParser:
    """Add a subcommand to the program's, whose help ends with examples, and return its parser."""
    parser: ArgumentParser = commands.add_parser(
        name,
        help=purpose,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a new option must not change what an old command means
    )
    return parser


def add_model_options(parser: ArgumentParser) -> None:
    """Add what says which network, with which weights, where."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--model",
        metavar="SPEC",
        help="torchvision:resnet18, timm:NAME, FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION; "
        "without it, the embedded demo network",
    )
    group.add_argument(
        "--weights",
        metavar="DEFAULT|FILE",
        help="the library's own weights (downloaded), or a .safetensors, .pt or .pth file",
    )
    group.add_argument(
        "--labels",
        metavar="FILE",
        help='class names: a JSON list, {"817": "sports car"}, or one name per line',
    )
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto"
    )


def add_preprocessing_options(parser: ArgumentParser) -> None:
    """Add what says how a picture becomes an input, where the weights don't say it."""
    group = parser.add_argument_group(
        "preprocessing", "known from the library's own weights; each flag overrides one part"
    )
    add = group.add_argument
    add("--size", type=_size, metavar="N|HxW", help="height and width of the input")
    add(
        "--resize",
        type=count,
        metavar="N",
        help="shorter side before the centre is cropped; default: as short as covers --size",
    )
    add(
        "--squash",
        dest="fit",
        action="store_const",
        const="squash",
        help="resize to --size without keeping the proportions, and crop nothing",
    )
    add("--mean", type=_numbers, metavar="A,B,C", help="subtracted, in the network's channel order")
    add("--std", type=_numbers, metavar="A,B,C", help="divided by, in the network's channel order")
    add("--channel-order", choices=("rgb", "bgr"), help="default: rgb")
    add("--value-range", type=int, choices=(1, 255), help="of pixels before --mean; default: 1")
    add(
        "--interpolation",
        choices=("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
        help="default: bilinear",
    )


def chosen_device(name: str) -> torch.device:
    """Return the device that was asked for.

    Raises:
        ValueError: If it is CUDA and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError(
            "expected a CUDA device, got none that torch can use: say --device cpu, or install a "
            "build of torch for your GPU"
        )
    return torch.device("cpu" if name == "cpu" or not available else "cuda")


def chosen_preprocessing(args: Namespace, known: Preparation | None) -> Preparation:
    """Return the preprocessing that the weights know, with the parts that flags override.

    Raises:
        ValueError: If neither is enough, or flags meet transforms that can't be taken apart.
    """
    given = _given(args)
    if known is None and "size" not in given:
        raise ValueError(
            "expected to know how pictures become this network's input, got weights that don't "
            f"say it: give the flags, for most ImageNet networks {_IMAGENET}"
        )
    if known is None:
        return Preprocessing(**given)
    if given and not isinstance(known, Preprocessing):
        raise ValueError(
            f"expected no preprocessing flags, got {_flags(given)}: this network brings transforms "
            "of its own, which can't be changed in part"
        )
    if not given or not isinstance(known, Preprocessing):
        return known
    if {"size", "fit"} & given.keys():
        given.setdefault("resize", None)  # belongs to the size that it came with
    return replace(known, **given)


def refuse_preprocessing(args: Namespace) -> None:
    """Make sure that no preprocessing is asked for.

    Raises:
        ValueError: If it is.
    """
    if given := _given(args):
        raise ValueError(
            f"expected --image beside {_flags(given)}, got the demo's own picture, which needs no "
            "preprocessing: add --image, or leave them out"
        )


def count(text: str) -> int:
    """Return a positive whole number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, got {text!r}")
    return int(text)


def _given(args: Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in _FIELDS if getattr(args, name) is not None}


def _size(text: str) -> int | tuple[int, int]:
    height, cross, width = text.lower().partition("x")
    return (count(height), count(width)) if cross else count(height)


def _numbers(text: str) -> float | tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3):
        raise argparse.ArgumentTypeError(
            f"expected one number or three, as in 104,117,123, got {text!r}"
        )
    return numbers[0] if len(numbers) == 1 else numbers


def _flags(given: dict[str, Any]) -> str:
    return ", ".join("--squash" if n == "fit" else f"--{n.replace('_', '-')}" for n in given)

"""``captum-influence profile``: which units a class rests on, over a folder of pictures."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch.utils.data import DataLoader

from captum_influence.attr.distributions import Distribution, Noise, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import StratifiedPath
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quantities import ClassScore, PredictedClass, Quantity
from captum_influence.cli.options import (
    add_model_options,
    add_preprocessing_options,
    chosen_device,
    chosen_preprocessing,
    count,
    subcommand,
)
from captum_influence.data.folders import PictureFolder
from captum_influence.data.labels import class_index, read_class_names
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import load_demo_network
from captum_influence.demo.scenes import SceneDataset
from captum_influence.network.loading import load_model

__all__ = ["add_profile_parser", "run_profile"]

_DESCRIPTION = """\
Average the influence of every unit over a folder of pictures, one subfolder for each group, with
standard errors. Without options it profiles the demo's classes. Under torchrun the pictures are
shared among processes; with --checkpoint a killed run goes on where it was."""

_OUT = "captum-influence-profile"

_EXAMPLES = """\
examples:
  captum-influence profile
  captum-influence profile --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer3 --layer layer4 --checkpoint run.checkpoint"""


def add_profile_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "profile",
        "which units a class rests on, over a folder of pictures",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    _add_data_options(parser)
    add_preprocessing_options(parser)
    parser.set_defaults(run=run_profile)


def _add_data_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("data and question").add_argument
    add(
        "--images",
        metavar="FOLDER",
        help="pictures; each subfolder is a group of its own; default: demo scenes",
    )
    add(
        "--layer",
        metavar="NAME",
        action="append",
        help="required with --model; may be given several times; of the demo: relu4 and relu5",
    )
    add("--target", metavar="CLASS", help="number or name; default: each picture's prediction")
    add("--versus", metavar="CLASS", help="ask why --target rather than this class")
    add("--distribution", choices=("point", "path", "noise"), default="path", help="default: path")
    add("--points", type=count, default=4, metavar="N", help="per picture; default: 4")
    add(
        "--aggregate",
        choices=("sum", "mean", "max"),
        default="sum",
        help="over the places of a feature map; default: sum",
    )
    add("--batch-size", type=count, default=16, metavar="N", help="pictures; default: 16")
    add(
        "--top",
        type=count,
        default=5,
        metavar="N",
        help="units to print for each group; default: 5",
    )
    add("--checkpoint", metavar="FILE", help="go on from here after an interruption")
    add("--out", metavar="FOLDER", default=_OUT, help=f"default: {_OUT}")
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")


def run_profile(args: Namespace) -> None:
    """Profile, write the numbers and a figure for each layer, and print the top units.

    Raises:
        ValueError: If options are missing, out of range, or don't go together.
    """
    device = chosen_device(args.device)
    model, loader, groups, names = _subject(args)
    layers = args.layer or ["relu4", "relu5"]
    quantity = _quantity(args, names)
    influence = DistributionalInfluence(
        model.to(device), layers, distribution=_distribution(args), quantity=quantity
    )

    def folder(inputs: object, labels: Tensor | None) -> list[str]:
        return [groups[i] for i in labels.tolist()]  # type: ignore[union-attr]

    profile = InfluenceProfile.over(
        influence,
        loader,
        group_by=folder,
        aggregate=args.aggregate,
        checkpoint=args.checkpoint,
        show_progress=not args.quiet and sys.stderr.isatty(),
    )
    if os.environ.get("RANK", "0") != "0":  # of several processes, one writes
        return
    asked = quantity.in_words(names)
    written = _write(profile, Path(args.out), asked)
    if not args.quiet:
        _tell(profile, args.top, asked)
        print(f"The numbers and figures: {written}")


def _subject(
    args: Namespace,
) -> tuple[Module, DataLoader[Any], Sequence[str], dict[int, str] | None]:
    if (args.model is None) != (args.images is None):
        raise ValueError(
            "expected --model and --images together, or neither for the demo, got one of them"
        )
    if args.model is None:
        scenes: Any = SceneDataset(160, seed=5)
        loader = DataLoader(scenes, batch_size=args.batch_size)
        return load_demo_network(), loader, CLASSES, dict(enumerate(CLASSES))
    if not args.layer:
        raise ValueError(
            "expected a layer to look into, got --model without --layer: captum-influence explain "
            "--list-layers shows what there is"
        )
    loaded = load_model(args.model, args.weights)
    pictures = PictureFolder.of(args.images, chosen_preprocessing(args, loaded.preprocessing))
    names = dict(enumerate(loaded.class_names)) if loaded.class_names else None
    names = dict(read_class_names(args.labels)) if args.labels else names
    loader = DataLoader(pictures, batch_size=args.batch_size)
    return loaded.model, loader, pictures.groups, names


def _distribution(args: Namespace) -> Distribution:
    if args.distribution == "point":
        return Point()
    return (
        Noise(0.15, args.points) if args.distribution == "noise" else StratifiedPath(n=args.points)
    )


def _quantity(args: Namespace, names: dict[int, str] | None) -> Quantity:
    def score(word: str) -> Quantity:
        return ClassScore(class_index(word, names, None))

    asked = PredictedClass() if args.target is None else score(args.target)
    return asked if args.versus is None else asked - score(args.versus)


def _write(profile: InfluenceProfile, folder: Path, asked: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    profile.save(folder / "profile.safetensors")
    table = {
        layer: {
            str(group): [vars(unit) for unit in profile.top(10, group, layer=layer)]
            for group in profile.groups
        }
        for layer in profile.layers
    }
    about = {"quantity": asked, "settings": dict(profile.settings), "top": table}
    (folder / "profile.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    for layer in profile.layers:
        profile.plot(layer=layer).savefig(folder / f"{layer}.png", dpi=110)
    return folder


def _tell(profile: InfluenceProfile, top: int, asked: str) -> None:
    for layer in profile.layers:
        print(f"{layer}: units of largest mean influence on {asked}")
        for group in profile.groups:
            units = profile.top(top, group, layer=layer)
            found = ", ".join(f"{u.index} ({u.mean:.3g} ± {u.standard_error:.1g})" for u in units)
            print(f"  {group} (n = {profile.count(group)}): {found}")

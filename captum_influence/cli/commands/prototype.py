"""``captum-influence prototype``: the picture that a class or a unit answers to most."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Mapping
from typing import Any

import torch

from captum_influence.cli.options import (
    add_model_options,
    add_preprocessing_options,
    chosen_device,
    chosen_preprocessing,
    count,
    refuse_preprocessing,
    subcommand,
)
from captum_influence.cli.output import PROTOTYPE, ReportFolder
from captum_influence.data.labels import class_index, read_class_names
from captum_influence.data.pictures import Preparation, Preprocessing
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scene_net import load_demo_network
from captum_influence.explanations.prototypes.find import prototype
from captum_influence.network.loading import LoadedModel, load_model

__all__ = ["add_prototype_parser", "run_prototype"]

_DEMO_CLASS = "tree"

_DESCRIPTION = """\
Make the picture that raises a class score, or a unit with --layer and --unit, as far as it goes. It
shows what the network answers to, which needn't look like anything it has seen. Without options it
makes a tree for the demo network."""

_EXAMPLES = """\
examples:
  captum-influence prototype
  captum-influence prototype --layer relu3 --unit 5
  captum-influence prototype --model torchvision:resnet18 --weights DEFAULT \\
      --class "sports car" --steps 512"""


def add_prototype_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "prototype",
        "the picture that a class or a unit answers to most",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    add_preprocessing_options(parser)
    _add_question_options(parser)
    parser.set_defaults(run=run_prototype)


def run_prototype(args: Namespace) -> None:
    """Make the picture, write it, and say how far it went.

    Raises:
        ValueError: If options are missing, out of range, or don't go together.
    """
    if args.unit is not None and (args.layer is None or args.target is not None):
        raise ValueError(
            "expected --unit N with --layer NAME and without --class: a unit is raised, or a class"
        )
    if args.model is not None and args.target is None and args.unit is None:
        raise ValueError("expected --class CLASS, or --layer NAME with --unit N, beside --model")
    folder = ReportFolder.claim(args.out, PROTOTYPE)
    loaded, prepare, names = _network(args)
    target = None if args.unit is not None else class_index(args.target or _DEMO_CLASS, names)
    found = prototype(
        loaded.model,
        target,
        layer=args.layer if args.unit is not None else None,
        unit=args.unit,
        size=prepare.size if isinstance(prepare, Preprocessing) else 224,
        steps=args.steps,
        preprocess=prepare.encode,
        seed=args.seed,
        class_names=names,
        show_progress=not args.quiet and sys.stderr.isatty(),  # a log needs no moving bar
    )
    report = folder.write_finding(found, args.command)
    if not args.quiet:
        print(f"{found.headline}.\nThe report: {report}")


def _network(args: Namespace) -> tuple[LoadedModel, Preparation, Mapping[int, str] | None]:
    device = chosen_device(args.device)
    if args.model is None:
        refuse_preprocessing(args)
        network = load_demo_network().to(device)
        return LoadedModel(network), Preprocessing(64), dict(enumerate(CLASSES))
    loaded = load_model(args.model, args.weights, device=torch.device(device))
    names: Mapping[int, str] | None = (
        dict(enumerate(loaded.class_names)) if loaded.class_names else None
    )
    names = read_class_names(args.labels) if args.labels else names
    return loaded, chosen_preprocessing(args, loaded.preprocessing), names


def _add_question_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("question").add_argument
    add(
        "--class",
        dest="target",
        metavar="CLASS",
        help=f"number or name; of the demo: {_DEMO_CLASS}",
    )
    add("--layer", metavar="NAME", help="where the unit is")
    add("--unit", type=int, metavar="N", help="channel of --layer, instead of a class")
    add("--steps", type=count, default=256, metavar="N", help="how many looks; default: 256")
    add("--seed", type=int, default=0, metavar="N", help="of the first picture; default: 0")
    add("--out", metavar="FOLDER", default="captum-influence-prototype")
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")

"""``captum-influence essence``: what a class is to a network."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import Any

from captum_influence.cli.collection import Collection, add_collection_options
from captum_influence.cli.options import (
    add_model_options,
    add_preprocessing_options,
    count,
    subcommand,
)
from captum_influence.cli.output import ESSENCE, ReportFolder
from captum_influence.explanations.essences.find import essence
from captum_influence.explanations.prototypes.find import prototype
from captum_influence.explanations.prototypes.result import Prototype

__all__ = ["add_essence_parser", "run_essence"]

_DEMO_LAYER, _DEMO_CLASS = "relu5", "coupe"

_DESCRIPTION = """\
Find what a class is to a network, over many pictures of it: the channels with the most influence
and standard errors, what each looks at, whether the class is still told from the rest with nothing
else and without them, and a picture made to excite it. Pictures of other classes, if there are
any, are what it is told from. Without options it asks what a coupe is to the demo network."""

_EXAMPLES = """\
examples:
  captum-influence essence
  captum-influence essence --class sailboat --layer relu3
  captum-influence essence --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --class "sports car" --held-out more-photos/"""


def add_essence_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "essence",
        "what a class is to a network, over pictures of it",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    add_collection_options(parser)
    add_preprocessing_options(parser)
    _add_question_options(parser)
    parser.set_defaults(run=run_essence)


def run_essence(args: Namespace) -> None:
    """Find the essence, write what was found, and say it in a few sentences.

    Raises:
        ValueError: If options are missing, out of range, or don't go together.
    """
    if args.model is not None and None in (args.layer, args.target):
        raise ValueError(
            "expected --layer NAME and --class CLASS beside --model, got one less; "
            "captum-influence explain --list-layers shows what layers there are"
        )
    folder = ReportFolder.claim(args.out, ESSENCE)
    subject = Collection.of(args)
    target = subject.index(args.target or _DEMO_CLASS)
    show = not args.quiet and sys.stderr.isatty()  # a log needs no moving bar
    found = essence(
        subject.model,
        args.layer or _DEMO_LAYER,
        subject.seen,
        target,
        held_out=subject.held_out,
        by=args.by,
        top=args.top,
        examples=args.examples,
        prototype=_prototype(args, subject, target, show),
        display=subject.display,
        class_names=subject.names,
        seed=args.seed,
        show_progress=show,
    )
    report = folder.write_finding(found, args.command)
    if not args.quiet:
        print(f"{found.headline}\nThe report: {report}")


def _prototype(args: Namespace, subject: Collection, target: int, show: bool) -> Prototype | None:
    if not args.prototype_steps:
        return None
    return prototype(
        subject.model,
        target,
        size=subject.size,
        steps=args.prototype_steps,
        preprocess=subject.prepare.encode,
        seed=args.seed,
        class_names=subject.names,
        show_progress=show,
    )


def _add_question_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("question").add_argument
    add("--layer", metavar="NAME", help=f"required with --model; of the demo: {_DEMO_LAYER}")
    add(
        "--class",
        dest="target",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {_DEMO_CLASS}",
    )
    add(
        "--by",
        choices=("influence", "contribution"),
        default="influence",
        help="what ranks channels; default: influence",
    )
    add("--top", type=count, default=5, metavar="N", help="channels to show; default: 5")
    add("--examples", type=count, default=3, metavar="N", help="pictures for each; default: 3")
    add(
        "--prototype-steps",
        type=_steps,
        default=128,
        metavar="N",
        help="of the picture that is made for the class; 0: none; default: 128",
    )
    add("--seed", type=int, default=0, metavar="N", help="of random units; default: 0")
    add("--out", metavar="FOLDER", default="captum-influence-essence")
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")


def _steps(text: str) -> int:
    return 0 if text == "0" else count(text)

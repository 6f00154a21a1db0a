"""``captum-influence pair``: what separates two classes for a network."""

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
from captum_influence.cli.output import PAIR, ReportFolder
from captum_influence.explanations.pairs.find import pair

__all__ = ["add_pair_parser", "run_pair"]

_DEMO_LAYER, _DEMO_PAIR = "relu5", ("coupe", "convertible")

_DESCRIPTION = """\
Find which channels separate two classes, by the difference of their contributions to the one score
over the other on pictures of both; what they look at; and how many answers move to the other class
when they are removed, beside as many random ones. Without options it asks what separates coupes
from convertibles for the demo network."""

_EXAMPLES = """\
examples:
  captum-influence pair
  captum-influence pair --class sailboat --versus motorboat
  captum-influence pair --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --class "sports car" --versus convertible"""


def add_pair_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "pair",
        "what separates two classes, over pictures of both",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    add_collection_options(parser)
    add_preprocessing_options(parser)
    _add_question_options(parser)
    parser.set_defaults(run=run_pair)


def run_pair(args: Namespace) -> None:
    """Find what separates them, write what was found, and say it in a few sentences.

    Raises:
        ValueError: If options are missing, out of range, or don't go together.
    """
    if args.model is not None and None in (args.layer, args.target, args.versus):
        raise ValueError(
            "expected --layer NAME, --class CLASS and --versus CLASS beside --model, got one less; "
            "captum-influence explain --list-layers shows what layers there are"
        )
    folder = ReportFolder.claim(args.out, PAIR)
    subject = Collection.of(args)
    words = (args.target or _DEMO_PAIR[0], args.versus or _DEMO_PAIR[1])
    found = pair(
        subject.model,
        args.layer or _DEMO_LAYER,
        subject.seen,
        *(subject.index(word) for word in words),
        held_out=subject.held_out,
        top=args.top,
        examples=args.examples,
        display=subject.display,
        class_names=subject.names,
        seed=args.seed,
        show_progress=not args.quiet and sys.stderr.isatty(),  # a log needs no moving bar
    )
    report = folder.write_finding(found, args.command)
    if not args.quiet:
        print(f"{found.headline}\nThe report: {report}")


def _add_question_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("question").add_argument
    add("--layer", metavar="NAME", help=f"required with --model; of the demo: {_DEMO_LAYER}")
    for name, place, default in zip(
        ("--class", "--versus"), ("target", "versus"), _DEMO_PAIR, strict=True
    ):
        add(
            name,
            dest=place,
            metavar="CLASS",
            help=f"number or name; required with --model; of the demo: {default}",
        )
    add("--top", type=count, default=4, metavar="N", help="channels for each class; default: 4")
    add("--examples", type=count, default=3, metavar="N", help="pictures for each; default: 3")
    add("--seed", type=int, default=0, metavar="N", help="of random units; default: 0")
    add("--out", metavar="FOLDER", default="captum-influence-pair")
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")

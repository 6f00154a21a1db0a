"""``captum-influence expert``: the few units that tell a class from the rest."""

from __future__ import annotations

import sys
from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    _SubParsersAction,
)
from collections.abc import Mapping, Sequence
from typing import Any

from captum_influence.cli.collection import Collection, add_collection_options
from captum_influence.cli.options import add_model_options, add_preprocessing_options, subcommand
from captum_influence.cli.output import EXPERT, ReportFolder
from captum_influence.experts.curves.find import expert_curves
from captum_influence.experts.curves.result import ExpertCurves
from captum_influence.experts.rankings import class_rankings
from captum_influence.reports.words import counted
from captum_influence.units.ranking import UnitInfluence

__all__ = ["add_expert_parser", "run_expert"]

_DEMO_LAYER, _DEMO_CLASS = "relu5", "coupe"
_RANKINGS = ("influence", "contribution", "activation", "conductance", "random")

_DESCRIPTION = """\
Rank a layer's channels for a class in several ways, keep only the first k of each (or remove them),
and measure how well the network still tells the class from the rest: precision, recall, F1 and
accuracy against k. The units of the best k are written down, to be used again by Expert(model,
layer, units). Without options it looks for the demo network's experts on coupes."""

_EXAMPLES = """\
examples:
  captum-influence expert
  captum-influence expert --class fish --mode remove
  captum-influence expert --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --class "sports car" --rankings influence,random"""


def add_expert_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "expert",
        "the few units that tell a class from the rest",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    add_collection_options(parser)
    add_preprocessing_options(parser)
    _add_question_options(parser)
    parser.set_defaults(run=run_expert)


def run_expert(args: Namespace) -> None:
    """Measure the experts, write the curves and the units, and name the best.

    Raises:
        ValueError: If options are missing, out of range, or don't go together.
    """
    if args.model is not None and None in (args.layer, args.target):
        raise ValueError(
            "expected --layer NAME and --class CLASS beside --model, got one less; "
            "captum-influence explain --list-layers shows what layers there are"
        )
    folder = ReportFolder.claim(args.out, EXPERT)
    subject = Collection.of(args)
    target, layer = subject.index(args.target or _DEMO_CLASS), args.layer or _DEMO_LAYER
    rankings = class_rankings(
        subject.model,
        layer,
        subject.seen,
        target,
        by=args.rankings,
        ends="both" if args.mode == "keep" else "top",
        seed=args.seed,
    )
    curves = expert_curves(
        subject.model,
        layer,
        rankings,
        subject.held_out or subject.seen,
        target,
        mode=args.mode,
        replace=args.replace,
        seed=args.seed,
        class_names=subject.names,
        show_progress=not args.quiet and sys.stderr.isatty(),  # a log needs no moving bar
    )
    units = _units(curves, rankings)
    report = folder.write_finding(curves, args.command, layer=layer, units=units)
    if not args.quiet:
        _tell(curves, units)
        print(f"The report: {report}")


def _units(
    curves: ExpertCurves, rankings: Mapping[str, Sequence[UnitInfluence]]
) -> dict[str, list[int]]:
    """Return for each ranking the channels of its best k, the first one first."""
    best = curves.best_k
    return {n: [unit.index[0] for unit in units[: best[n]]] for n, units in rankings.items()}


def _tell(curves: ExpertCurves, units: Mapping[str, Sequence[int]]) -> None:
    print(f"{curves.question}, {'kept alone' if curves.mode == 'keep' else 'removed'}:")
    for name, chosen in units.items():
        counts = curves.counts[name][curves.ks.index(len(chosen))]
        shown = ", ".join(map(str, chosen[:8])) + (", ..." if len(chosen) > 8 else "")
        scores = f"precision {counts.precision:.2f}, recall {counts.recall:.2f}, F1 {counts.f1:.2f}"
        print(f"  by {name}: {counted(len(chosen), 'channel')}, {scores}: {shown}")


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
        "--rankings",
        type=_rankings,
        default=_RANKINGS,
        metavar="A,B,...",
        help=f"some of {', '.join(_RANKINGS)}; default: all",
    )
    add(
        "--mode",
        choices=("keep", "remove"),
        default="keep",
        help="keep only the units, or remove them; default: keep",
    )
    add("--replace", type=float, default=0.0, metavar="X", help="of removed units; default: 0")
    add("--seed", type=int, default=0, metavar="N", help="of random units; default: 0")
    add("--out", metavar="FOLDER", default="captum-influence-expert")
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")


def _rankings(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in _RANKINGS]:
        raise ArgumentTypeError(f"expected some of {', '.join(_RANKINGS)}, got {unknown[0]!r}")
    return names

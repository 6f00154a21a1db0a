"""``captum-influence train-influence``: which training images shape a network's answers."""

from __future__ import annotations

import argparse
import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import CrossEntropyLoss

from captum_influence.cli.options import (
    add_model_options,
    add_preprocessing_options,
    count,
    subcommand,
)
from captum_influence.cli.output import STUDY, ReportFolder
from captum_influence.cli.study import Study
from captum_influence.training.bias.disturbances import DISTURBANCES, disturbances_named
from captum_influence.training.bias.find import bias_report
from captum_influence.training.bias.result import BiasReport
from captum_influence.training.bias.retraining import (
    Retraining,
    RetrainingResult,
    retrain_and_measure,
)
from captum_influence.training.bias.shapley import GradientShapley, SampledShapley
from captum_influence.training.layer_influence import LayerInfluence
from captum_influence.training.losses import log_odds_loss

__all__ = ["add_training_parser", "run_training"]

Groups = Mapping[str, tuple[Tensor, Tensor]]

_ALL = "all"
_DEFAULT = ("texture-patches", "style-channels", "background-white")
_SHAPLEY = {"gradient": GradientShapley(), "sampling": SampledShapley(), "none": None}

_DESCRIPTION = """\
Find the training images that shape a network's answers, over all and through each layer, for test
pictures as they are and with texture, style or background disturbed; write a report that opens in
any browser. Without options it studies the embedded demo: a disturbance is planted in most training
pictures of one class, and the study is to find them."""

_EXAMPLES = f"""\
disturbances:
  {", ".join(list(DISTURBANCES)[:5])},
  {", ".join(list(DISTURBANCES)[5:])}

examples:
  captum-influence train-influence
  captum-influence train-influence --disturb style-fourier texture-patches
  captum-influence train-influence --model nets.py:build --weights net.safetensors --size 32 \\
      --train photos/train --test photos/test --masks photos/masks \\
      --layers conv1,conv2,fc --disturb background-white texture-patches --retrain fc"""


def add_training_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "train-influence",
        "which training images shape a network's answers, layer by layer",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    _add_data_options(parser)
    add_preprocessing_options(parser)
    _add_question_options(parser)
    _add_influence_options(parser)
    _add_retraining_options(parser)
    _add_output_options(parser)
    parser.set_defaults(run=run_training)


def run_training(args: Namespace) -> None:
    """Study, write what was found, and say it in a few sentences.

    Raises:
        ValueError: If options are missing, out of range, or don't go together.
    """
    show = not args.quiet and sys.stderr.isatty()  # a log needs no moving bar
    args.disturb = list(dict.fromkeys(args.disturb or _DEFAULT))
    folder = ReportFolder.claim(args.out, STUDY)
    study = Study.of(args, show_progress=show)
    groups = study.groups(args.disturb, args.seed)
    asked, note = _asked(args, study, groups)
    influence = _influence(args, study)
    report = bias_report(
        influence,
        asked,
        top=args.top,
        predicted=args.ask == "answer",
        shapley=_SHAPLEY[args.shapley],
        display=study.prepare.decode,
        class_names=study.names,
        seed=args.seed,
        show_progress=show,
    )
    notes = [note, *_skipped(influence), *_planted(study, report)]
    report = replace(report, notes=tuple(notes), retrainings=_retrained(args, study, report, show))
    page = folder.write_study(report, args.command)
    if not args.quiet:
        print("\n".join([*notes, *_effects(report), f"The report: {page}"]))


def _add_data_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add("--train", metavar="FOLDER", help="training pictures, a subfolder for each class")
    add("--test", metavar="FOLDER", help="pictures to ask about, with the same subfolders")
    add("--masks", metavar="FOLDER", help="CLASS/NAME.png for each test picture, white: object")
    add("--examples", type=count, default=48, metavar="N", help="test pictures; default: 48")
    add("--batch-size", type=count, default=64, metavar="N", help="default: 64")


def _add_question_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("question").add_argument
    add(
        "--disturb",
        type=_disturbance,
        action="extend",
        nargs="+",
        metavar="NAME",
        help=f"one or more, listed below; the demo plants the first; default: {' '.join(_DEFAULT)}",
    )
    add(
        "--ask",
        choices=("answer", "loss"),
        default="answer",
        help="what makes it give its answer, asked where the first disturbance changes that; or "
        "what raises and lowers the loss, asked of all; default: answer",
    )
    add("--answer", metavar="CLASS", help="ask only where the answer becomes this; demo: coupe")
    add("--top", type=count, default=6, metavar="N", help="images to list each way; default: 6")
    add("--seed", type=int, default=0, metavar="N", help="of all draws; default: 0")
    add(
        "--shapley",
        choices=tuple(_SHAPLEY),
        default="gradient",
        help="maps of Shapley values beside the images; default: gradient",
    )


def _add_influence_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("influence").add_argument
    add("--layers", metavar="A,B", help="names of layers; default: all with weights")
    add(
        "--curvature",
        choices=("ekfac", "identity", "ggn", "ggn_joint"),
        default="ekfac",
        help="default: ekfac",
    )
    add(
        "--fisher",
        choices=("sampled", "exact", "empirical"),
        default="sampled",
        help="exact takes a backward pass for each class; default: sampled",
    )
    add("--damping", type=_damping, metavar="X", help="default: a tenth of the mean eigenvalue")
    add(
        "--normalize",
        choices=("self", "none"),
        default="self",
        help="self: divide by the root of self-influence, which finds planted images; none: raw "
        "scores, which predict retraining better; default: self",
    )


def _add_retraining_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("retrain and measure").add_argument
    add(
        "--retrain",
        action="append",
        metavar="LAYER|all",
        help="retrain it without the most influential images; may be given several times",
    )
    add("--remove", type=count, default=20, metavar="N", help="how many images; default: 20")
    add("--epochs", type=count, default=4, metavar="N", help="default: 4")
    add("--learning-rate", type=float, default=2e-4, metavar="X", help="default: 0.0002")


def _add_output_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    folder = "captum-influence-report-training"
    add("--out", metavar="FOLDER", default=folder, help=f"default: {folder}")
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")


def _damping(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return value


def _asked(args: Namespace, study: Study, groups: Groups) -> tuple[Groups, str]:
    """Return the examples to ask about, the same ones in every group, and which these are."""
    name = args.disturb[0]
    total = len(study.labels)
    if args.ask == "loss":
        return groups, f"Asked about the loss on all {total} test pictures."
    study.model.eval()
    with torch.no_grad():
        before, after = (study.model(groups[n][0]).argmax(1) for n in ("original", name))
    changed = before != after
    becomes = ""
    if study.answer is not None:
        changed &= after == study.answer
        becomes = f" into {(study.names or {}).get(study.answer, study.answer)}"
    share = (
        f"turns the answer to {int(changed.sum())} of {total} test pictures{becomes or ' round'}"
    )
    if not changed.any():
        return groups, f"{name} {share}, so all are asked about."
    chosen = {n: (inputs[changed], labels[changed]) for n, (inputs, labels) in groups.items()}
    return chosen, f"{name} {share}; these are asked about."


def _influence(args: Namespace, study: Study) -> LayerInfluence:
    return LayerInfluence(
        study.model,
        study.train,
        layers=None if args.layers is None else args.layers.split(","),
        loss_fn=CrossEntropyLoss(),
        test_loss_fn=log_odds_loss if args.ask == "answer" else None,
        batch_size=args.batch_size,
        curvature=args.curvature,
        fisher=args.fisher,
        damping=args.damping,
        normalize=None if args.normalize == "none" else args.normalize,
        seed=args.seed,
        skip_unsupported=args.layers is None,
    )


def _skipped(influence: LayerInfluence) -> list[str]:
    if not influence.skipped:
        return []
    return [f"Left out, since they can't be treated: {', '.join(influence.skipped)}."]


def _planted(study: Study, report: BiasReport) -> list[str]:
    """Say how many of the images that were found are planted, where that is known."""
    if study.planted is None:
        return []
    group = report.groups[1]
    mean = report.mean_scores(group.name)
    best = mean.topk(min(20, len(study.planted))).indices.tolist()
    hits = len(set(best) & set(study.planted))
    return [
        f"Of the {len(mean)} training pictures {len(study.planted)} carry a planted {group.name}; "
        f"of the {len(best)} most helpful ones for the answers under it, {hits} do."
    ]


def _retrained(
    args: Namespace, study: Study, report: BiasReport, show: bool
) -> tuple[RetrainingResult, ...]:
    """Retrain without the images that most help the answers, or most raise the loss."""
    wanted = args.retrain or ([] if study.planted is None else [_ALL])
    if not wanted:
        return ()
    mean = report.mean_scores(report.groups[1].name)
    number = min(args.remove, len(mean) // 2)
    gone = mean.topk(number, largest=args.ask == "answer").indices.tolist()
    return tuple(
        retrain_and_measure(
            study.model,
            study.train,
            study.groups(args.disturb, args.seed),
            loss_fn=CrossEntropyLoss(),
            without=gone,
            layers=None if name == _ALL else [name],
            retraining=Retraining(
                args.epochs, args.learning_rate, batch_size=args.batch_size, seed=args.seed
            ),
            show_progress=show,
        )
        for name in wanted
    )


def _effects(report: BiasReport) -> list[str]:
    group = report.groups[1].name
    return [
        f"Retrained ({', '.join(result.layers)}) without {result.removed} of them, the loss under "
        f"{group} is {result.changed[group].loss:.3g}; retrained with all, "
        f"{result.control[group].loss:.3g}; before, {result.before[group].loss:.3g}."
        for result in report.retrainings
    ]


def _disturbance(name: str) -> str:
    try:
        disturbances_named([name])
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return name

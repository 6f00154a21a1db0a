"""``captum-influence explain``: which units caused what a network says of a picture."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import Any

from torch.utils.data import DataLoader

from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.cli.examples import examples_in
from captum_influence.cli.options import (
    add_model_options,
    add_preprocessing_options,
    count,
    subcommand,
)
from captum_influence.cli.output import ReportFolder
from captum_influence.cli.question import add_question_options, chosen_distribution, chosen_quantity
from captum_influence.cli.subject import Subject
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scenes import SceneDataset
from captum_influence.explanations.instances.find import explain
from captum_influence.network.anatomy import layer_table
from captum_influence.network.cuts import Cut

__all__ = ["add_explain_parser", "run_explain"]

_DEMO_LAYER = "relu5"
_DEMO_PAIR = ("coupe", "convertible")
_DEMO_EXAMPLES = 40

_DESCRIPTION = """\
Find the units of a layer that caused what a network says of a picture, see what each looks at,
and write a report that opens in any browser. Without options it explains the embedded demo: why
a small network says coupe rather than convertible."""

_EXAMPLES = """\
examples:
  captum-influence explain
  captum-influence explain --model torchvision:resnet18 --weights DEFAULT --list-layers
  captum-influence explain --model torchvision:resnet18 --weights DEFAULT --image photo.jpg \\
      --layer layer3 --target "sports car" --versus convertible
  captum-influence explain --model nets.py:build --weights net.safetensors --image photo.jpg \\
      --layer features.7 --target 817 --versus 511 --labels names.json \\
      --size 227 --mean 104,117,123 --channel-order bgr --value-range 255"""


def add_explain_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "explain",
        "which units caused what a network says of a picture",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    _add_picture_options(parser)
    add_preprocessing_options(parser)
    _add_layer_options(parser)
    add_question_options(parser)
    _add_output_options(parser)
    parser.set_defaults(run=run_explain)


def run_explain(args: Namespace) -> None:
    """Explain a picture, write what was found, and say it in a few sentences.

    Raises:
        ValueError: If options are missing, out of range, or don't go together.
    """
    subject = Subject.of(args)
    if args.list_layers:
        subject.outputs()
        print(f"for an input of shape {tuple(subject.inputs.shape[1:])}:")
        print(layer_table(subject.model, subject.inputs))
        return
    layer, quantity = _layer(args), _quantity(args, subject)
    distribution = chosen_distribution(args, subject.inputs)
    folder = ReportFolder.claim(args.out)
    explanation = explain(
        subject.model,
        subject.inputs,
        layer,
        quantity=quantity,
        distribution=distribution,
        top=args.top,
        by=args.by,
        axis=args.axis,
        loader=_loader(args, subject),
        display=subject.shown,
        picture=subject.picture,
        class_names=subject.names,
        show_progress=not args.quiet and sys.stderr.isatty(),  # a log needs no moving bar
    )
    report = folder.write(explanation, args.command)
    if not args.quiet:
        print(f"{explanation.headline}\nThe report: {report}")


def _add_picture_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("picture").add_argument
    add("--image", metavar="FILE", help="what to explain; default: a scene of the demo")
    add(
        "--examples",
        metavar="FOLDER",
        help="pictures, also in subfolders: each unit's top examples are taken from them; default: "
        "none, or scenes of the demo",
    )


def _add_layer_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("layer").add_argument
    add("--layer", metavar="NAME", help=f"required with --model; of the demo: {_DEMO_LAYER}")
    add("--call", type=int, metavar="N", help="which of several runs of the layer, counted from 0")
    add("--list-layers", action="store_true", help="print the layers with their shapes, and stop")
    add("--top", type=count, default=5, metavar="N", help="units to show; default: 5")
    add(
        "--by",
        choices=("contribution", "influence"),
        default="contribution",
        help="rank units by influence times what they changed by, or by influence alone; "
        "default: contribution",
    )
    add(
        "--axis",
        choices=("channel", "position", "neuron"),
        default="channel",
        help="what counts as one unit; default: channel",
    )


def _add_output_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--out",
        metavar="FOLDER",
        default="captum-influence-report",
        help="default: captum-influence-report",
    )
    add("--quiet", action="store_true", help="print nothing but errors, and no progress bar")
    add("--debug", action="store_true", help="show the traceback of an error")


def _layer(args: Namespace) -> Cut:
    if args.layer is None and args.model is not None:
        raise ValueError(
            "expected a layer to look into, got --model without --layer: --list-layers shows what "
            "there is"
        )
    return Cut(args.layer or _DEMO_LAYER, call=args.call)


def _quantity(args: Namespace, subject: Subject) -> Quantity:
    if subject.is_demo and args.target is None and args.versus is None:
        target, versus = (CLASSES.index(name) for name in _DEMO_PAIR)
        return ClassScore(target) - ClassScore(versus)
    return chosen_quantity(args, subject.names, subject.outputs())


def _loader(args: Namespace, subject: Subject) -> DataLoader[object] | None:
    if args.examples is not None:
        return examples_in(args.examples, subject)
    return _demo_examples() if subject.is_demo else None


def _demo_examples() -> DataLoader[object]:
    return DataLoader(SceneDataset(_DEMO_EXAMPLES, seed=1), batch_size=_DEMO_EXAMPLES)

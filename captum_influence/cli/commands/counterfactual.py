"""``captum-influence counterfactual``: the units without which a wrong answer would be right."""

from __future__ import annotations

from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    _SubParsersAction,
)
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch.utils.data import DataLoader, Subset

from captum_influence.cli.examples import answered_examples
from captum_influence.cli.options import (
    add_model_options,
    add_preprocessing_options,
    count,
    subcommand,
)
from captum_influence.cli.output import COUNTERFACTUAL, ReportFolder
from captum_influence.cli.subject import Subject
from captum_influence.data.labels import class_index
from captum_influence.demo.scenes import SceneDataset
from captum_influence.explanations.counterfactuals.find import counterfactual
from captum_influence.units.replacement import Replace

__all__ = ["add_counterfactual_parser", "run_counterfactual"]

_DEMO_LAYER, _DEMO_SEED, _DEMO_SCENE = "relu5", 17, 533  # a tree that the demo takes for a fish
_DEMO_OTHERS = 80

_DESCRIPTION = """\
Find the fewest units, by contribution to the wrong class over the true one, without which a
network's answer changes, and verify it by running the network without them; beside it, as many
random units. Without options it asks why the demo network takes a tree for a fish."""

_EXAMPLES = """\
examples:
  captum-influence counterfactual
  captum-influence counterfactual --model torchvision:resnet18 --weights DEFAULT \\
      --image photo.jpg --layer layer4 --true "sports car" --examples photos/ --replace mean
"""


def add_counterfactual_parser(commands: _SubParsersAction[Any]) -> None:
    """Add the subcommand and its options."""
    parser = subcommand(
        commands,
        "counterfactual",
        "the units without which a wrong answer would be right",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
    )
    add_model_options(parser)
    _add_question_options(parser)
    add_preprocessing_options(parser)
    parser.set_defaults(run=run_counterfactual, list_layers=False)


def run_counterfactual(args: Namespace) -> None:
    """Find the units, write what was found, and say it in a few sentences.

    Raises:
        ValueError: If options are missing, or the answer isn't wrong.
    """
    subject, loader = Subject.of(args), None
    if subject.is_demo:
        subject, loader = _demo(subject)
        args.true = args.true or "tree"
    loader = loader if args.examples is None else answered_examples(args.examples, subject)
    if args.true is None or (args.layer is None and not subject.is_demo):
        raise ValueError(
            "expected --true CLASS, what the network should have said, and --layer NAME; "
            "captum-influence explain --list-layers shows what layers there are"
        )
    folder = ReportFolder.claim(args.out, COUNTERFACTUAL)
    found = counterfactual(
        subject.model,
        subject.inputs,
        args.layer or _DEMO_LAYER,
        true=class_index(args.true, subject.names, subject.outputs()),
        max_units=args.max_units,
        replace=args.replace,
        reference=_reference(args, loader),
        loader=loader,
        controls=args.controls,
        seed=args.seed,
        class_names=subject.names,
        picture=subject.picture,
    )
    report = folder.write_finding(found, args.command)
    if not args.quiet:
        print(f"{found.headline}\nThe report: {report}")


def _add_question_options(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("question").add_argument
    add("--image", metavar="FILE", help="that is answered wrong; default: a scene of the demo")
    add("--layer", metavar="NAME", help=f"required with --model; of the demo: {_DEMO_LAYER}")
    add("--true", metavar="CLASS", help="number or name: what the network should have said")
    add("--max-units", type=count, default=16, metavar="N", help="to try; default: 16")
    add(
        "--replace",
        type=_replacement,
        default=0.0,
        metavar="X",
        help='what takes the place of removed units: a number, or "mean", their mean activation '
        "over the examples; default: 0",
    )
    add(
        "--examples",
        metavar="FOLDER",
        help="a subfolder of pictures for each class, named by it, or pictures whose names begin "
        "with the class's number, 281_cat.jpg: what removing the units does to these answers; "
        "default: none, or scenes of the demo",
    )
    add("--controls", type=count, default=20, metavar="N", help="random sets; default: 20")
    add("--seed", type=int, default=0, metavar="N", help="of the random sets; default: 0")
    add("--out", metavar="FOLDER", default="captum-influence-counterfactual")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("--debug", action="store_true", help="show the traceback of an error")


def _replacement(text: str) -> Replace:
    if text == "mean":
        return "mean"
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f'expected a number or "mean", got {text!r}') from None


def _reference(args: Namespace, loader: Iterable[Any] | None) -> Iterable[Any] | None:
    """Return where means are taken from."""
    if args.replace == "mean" and loader is None:
        raise ValueError(
            "expected --examples FOLDER beside --replace mean, pictures to take the mean over, got "
            "none"
        )
    return loader if args.replace == "mean" else None


def _demo(subject: Subject) -> tuple[Subject, Iterable[Any]]:
    """Return the demo network with a scene that it gets wrong, and scenes to do damage to."""
    scenes = SceneDataset(_DEMO_SCENE + 1, seed=_DEMO_SEED)
    wrong = scenes[_DEMO_SCENE][0]
    others: Any = Subset(scenes, range(_DEMO_OTHERS))
    asked = replace(subject, inputs=wrong[None].to(subject.inputs.device), picture=wrong)
    return asked, DataLoader(others, batch_size=_DEMO_OTHERS)

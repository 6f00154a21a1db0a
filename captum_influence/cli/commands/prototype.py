"""``captum-influence prototype``: the picture that a class or a unit answers to most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum_influence.cli.groups import Command, Group, count, option
from captum_influence.cli.inputs import Network
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.data.labels import class_index
from captum_influence.explanations.prototypes.find import prototype
from captum_influence.explanations.prototypes.result import Prototype

__all__ = ["COMMAND"]

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
      --target "sports car" --steps 512"""


@dataclass(frozen=True, kw_only=True)
class PrototypeOptions(Group):
    """Of what, and for how long."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target", metavar="CLASS", help=f"number or name; of the demo: {_DEMO_CLASS}"
    )
    unit: int | None = option(
        "--unit", type=int, metavar="N", help="channel of --layer, instead of a class"
    )
    steps: int = option(
        "--steps", type=count, default=256, metavar="N", help="how many looks; default: 256"
    )


def run(
    network: NetworkOptions,
    preprocessing: PreprocessingOptions,
    layer: LayerOptions,
    question: PrototypeOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Make the picture, write it, and say how far it went.

    Raises:
        ValueError: if options are missing, out of range, or don't go together.
    """
    of_unit = question.unit is not None
    if of_unit and (layer.layer is None or question.target is not None):
        raise ValueError(
            "expected --unit N with --layer NAME and without --target: a unit is raised, or a class"
        )
    if network.model is not None and question.target is None and not of_unit:
        raise ValueError("expected --target CLASS, or --layer NAME with --unit N, beside --model")
    report, known = Report.claim(output, Prototype), Network.of(network, preprocessing)
    target = None if of_unit else class_index(question.target or _DEMO_CLASS, known.names)
    found = prototype(
        known.model,
        target,
        layer=layer.layer if of_unit else None,
        unit=question.unit,
        size=known.size,
        steps=question.steps,
        preprocess=known.prepare.encode,
        seed=seed.seed,
        class_names=known.names,
        show_progress=output.show_progress,
    )
    report.write(found)


COMMAND = Command(
    description=_DESCRIPTION,
    examples=_EXAMPLES,
    groups=(
        NetworkOptions,
        PreprocessingOptions,
        LayerOptions,
        PrototypeOptions,
        SeedOptions,
        OutputOptions,
    ),
    run=run,
)

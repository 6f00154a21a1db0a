"""``captum-influence essence``: what a class is to a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from captum_influence.cli.groups import Command, Group, count, counts, option
from captum_influence.cli.inputs import Collection, Network, chosen_layer, left_out, require
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PicturesOptions,
    PreprocessingOptions,
    SeedOptions,
    replaced,
)
from captum_influence.cli.output import Report
from captum_influence.explanations.essences.find import essence
from captum_influence.explanations.essences.result import Essence
from captum_influence.explanations.prototypes.find import prototype
from captum_influence.explanations.prototypes.result import Prototype

__all__ = ["COMMAND"]

_DEMO_CLASS = "coupe"

_DESCRIPTION = """\
Find what a class is to a network, over many pictures of it: the channels that contribute most,
with standard errors and what removing them does, what each looks at, whether the class is still
told from the rest with nothing else and without them, and a picture made to excite it. Pictures of
other classes, if there are any, are what it is told from. Without options it asks what a coupe is
to the demo network."""

_EXAMPLES = """\
examples:
  captum-influence essence
  captum-influence essence --target sailboat --layer relu3
  captum-influence essence --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --target "sports car" --held-out more-photos/"""


@dataclass(frozen=True, kw_only=True)
class EssenceOptions(Group):
    """Of which class, and what of it is shown."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {_DEMO_CLASS}",
    )
    by: Any = option(
        "--by",
        choices=("contribution", "influence"),
        default="contribution",
        help="what ranks channels: influence times what their removal changes, or influence alone; "
        "default: contribution",
    )
    replace: Any = replaced("the mean over the pictures")
    top: int = option(
        "--top", type=count, default=5, metavar="N", help="channels to show; default: 5"
    )
    show: int = option(
        "--show", type=count, default=3, metavar="N", help="pictures for each; default: 3"
    )
    prototype_steps: int = option(
        "--prototype-steps",
        type=counts,
        default=128,
        metavar="N",
        help="of the picture that is made for the class; 0: none; default: 128",
    )


def run(
    network: NetworkOptions,
    pictures: PicturesOptions,
    preprocessing: PreprocessingOptions,
    layer: LayerOptions,
    question: EssenceOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Find the essence, write what was found, and say it in a few sentences.

    Raises:
        ValueError: if options are missing, out of range, or don't go together.
    """
    require(network, layer=layer.layer, target=question.target)
    report = Report.claim(output, Essence)
    subject = Collection.of(Network.of(network, preprocessing), pictures)
    target = subject.index(question.target or _DEMO_CLASS)
    found = essence(
        subject.network.model,
        subject.seen,
        chosen_layer(layer, subject.network),
        target,
        held_out=subject.held_out,
        by=question.by,
        replace=question.replace,
        top=question.top,
        examples=question.show,
        prototype=_prototype(subject, target, question.prototype_steps, seed, output),
        display=subject.network.display,
        class_names=subject.network.names,
        seed=seed.seed,
        show_progress=output.show_progress,
    )
    report.write(found, left_out=left_out(subject.seen, subject.held_out))


def _prototype(
    subject: Collection, target: int, steps: int, seed: SeedOptions, output: OutputOptions
) -> Prototype | None:
    if not steps:
        return None
    return prototype(
        subject.network.model,
        target,
        size=subject.size,
        steps=steps,
        preprocess=subject.network.prepare.encode,
        seed=seed.seed,
        class_names=subject.network.names,
        show_progress=output.show_progress,
    )


COMMAND = Command(
    description=_DESCRIPTION,
    examples=_EXAMPLES,
    groups=(
        NetworkOptions,
        PicturesOptions,
        PreprocessingOptions,
        LayerOptions,
        EssenceOptions,
        SeedOptions,
        OutputOptions,
    ),
    run=run,
)

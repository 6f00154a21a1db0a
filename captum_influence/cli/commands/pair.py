"""``captum-influence pair``: what separates two classes for a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from captum_influence.cli.groups import Command, Group, count, option
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
from captum_influence.explanations.pairs.find import pair
from captum_influence.explanations.pairs.result import Pair

__all__ = ["COMMAND"]

_DEMO_PAIR = ("coupe", "convertible")

_DESCRIPTION = """\
Find which channels separate two classes, by the difference of their contributions to the one score
over the other on pictures of both; what they look at; and how many answers move to the other class
when they are removed, beside as many random ones. Without options it asks what separates coupes
from convertibles for the demo network."""

_EXAMPLES = """\
examples:
  captum-influence pair
  captum-influence pair --target sailboat --versus motorboat
  captum-influence pair --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --target "sports car" --versus convertible"""


@dataclass(frozen=True, kw_only=True)
class PairOptions(Group):
    """Which two classes, and what of them is shown."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {_DEMO_PAIR[0]}",
    )
    versus: str | None = option(
        "--versus",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {_DEMO_PAIR[1]}",
    )
    replace: Any = replaced("the mean over pictures of both")
    top: int = option(
        "--top", type=count, default=4, metavar="N", help="channels for each class; default: 4"
    )
    show: int = option(
        "--show", type=count, default=3, metavar="N", help="pictures for each; default: 3"
    )


def run(
    network: NetworkOptions,
    pictures: PicturesOptions,
    preprocessing: PreprocessingOptions,
    layer: LayerOptions,
    question: PairOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Find what separates them, write what was found, and say it in a few sentences.

    Raises:
        ValueError: if options are missing, out of range, or don't go together.
    """
    require(network, layer=layer.layer, target=question.target, versus=question.versus)
    report = Report.claim(output, Pair)
    subject = Collection.of(Network.of(network, preprocessing), pictures)
    words = (question.target or _DEMO_PAIR[0], question.versus or _DEMO_PAIR[1])
    found = pair(
        subject.network.model,
        subject.seen,
        chosen_layer(layer, subject.network),
        *(subject.index(word) for word in words),
        held_out=subject.held_out,
        replace=question.replace,
        top=question.top,
        examples=question.show,
        display=subject.network.display,
        class_names=subject.network.names,
        seed=seed.seed,
        show_progress=output.show_progress,
    )
    report.write(found, left_out=left_out(subject.seen, subject.held_out))


COMMAND = Command(
    description=_DESCRIPTION,
    examples=_EXAMPLES,
    groups=(
        NetworkOptions,
        PicturesOptions,
        PreprocessingOptions,
        LayerOptions,
        PairOptions,
        SeedOptions,
        OutputOptions,
    ),
    run=run,
)

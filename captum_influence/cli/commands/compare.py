"""``captum-influence compare``: the same question put to other methods of attribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from captum_influence.cli.groups import Command, Group, count, names, option
from captum_influence.cli.inputs import Network, Subject, chosen_layer
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PictureOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.demo.scene_net import demo_scene
from captum_influence.methods.find import Score, compare
from captum_influence.methods.result import Comparison
from captum_influence.metrics.scores import FlippingScore, LocalizationScore

__all__ = ["COMMAND"]

_DESCRIPTION = """\
Ask many methods (Grad-CAM, LRP, integrated gradients, ours, ...) why a network scores a class for
a picture, draw their maps side by side, and score them by pixel flipping; on the demo's scene also
by how much of a map lies on the object. Those that can't answer are listed with the reason.
Without options it explains the embedded demo."""

_EXAMPLES = """\
examples:
  captum-influence compare
  captum-influence compare --methods influence,LayerGradCam,LRP
  captum-influence compare --model torchvision:vgg16 --weights DEFAULT --image photo.jpg \\
      --layer features.28 --target "sports car\""""


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Group):
    """Which class, and which methods."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target", metavar="CLASS", help="number or name; without it, the predicted class"
    )
    methods: tuple[str, ...] | None = option(
        "--methods",
        type=names(),
        metavar="A,B,...",
        help="names, as the report has them; default: all",
    )
    points: int = option(
        "--points", type=count, default=25, metavar="N", help="of paths and noise; default: 25"
    )
    scores: bool = option(
        "--no-scores",
        action="store_false",
        default=True,
        help="don't flip pixels: it takes time",
    )


def run(
    network: NetworkOptions,
    picture: PictureOptions,
    preprocessing: PreprocessingOptions,
    layer: LayerOptions,
    question: CompareOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Ask the methods, write what they say, and name those that couldn't answer.

    Raises:
        ValueError: if options are missing or out of range.
    """
    subject = Subject.of(Network.of(network, preprocessing), picture)
    cut = chosen_layer(layer, subject.network)
    target = None if question.target is None else subject.index(question.target)
    report = Report.claim(output, Comparison)
    found = compare(
        subject.network.model,
        subject.inputs,
        cut,
        target,
        question.methods or "default",
        points=question.points,
        scores=_scores(subject) if question.scores else None,
        seed=seed.seed,
        picture=subject.picture,
        class_names=subject.network.names,
        show_progress=output.show_progress,
    )
    left_out = [f"{name}: not applicable: {why}" for name, why in found.not_applicable.items()]
    report.write(found, *left_out)


def _scores(subject: Subject) -> dict[str, Score]:
    """Return what maps are scored by; where the object is known, also by lying on it."""
    scores: dict[str, Score] = {
        "pixel flipping (blurred)": FlippingScore("blur"),
        "pixel flipping (mean)": FlippingScore("mean"),
    }
    if subject.network.is_demo:
        masks = demo_scene().masks["object"][None]
        scores["on the object"] = LocalizationScore(masks, "mass")
    return scores


COMMAND = Command(
    description=_DESCRIPTION,
    examples=_EXAMPLES,
    groups=(
        NetworkOptions,
        PictureOptions,
        PreprocessingOptions,
        LayerOptions,
        CompareOptions,
        SeedOptions,
        OutputOptions,
    ),
    run=run,
)

"""``captum-influence compare``: the same question put to other methods of attribution."""

from __future__ import annotations

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
from captum_influence.cli.syntax.pictures import CompareOptions
from captum_influence.demo.scene_net import demo_scene
from captum_influence.methods.find import Score, compare
from captum_influence.methods.result import Comparison
from captum_influence.metrics.scores import FlippingScore, LocalizationScore

__all__ = ["run"]


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

"""``captum-influence compare``: the same question put to other methods of attribution."""

from __future__ import annotations

from captum_influence.cli.inputs import Network, Subject, chosen_layer
from captum_influence.cli.many import Given
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PictureOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.syntax.pictures import CompareOptions, ManyOptions
from captum_influence.demo.scene_net import demo_scene
from captum_influence.methods.find import Score, compare
from captum_influence.methods.result import Comparison
from captum_influence.metrics.scores import FlippingScore, LocalizationScore

__all__ = ["run"]


def run(
    network: NetworkOptions,
    picture: PictureOptions,
    many: ManyOptions,
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
    known = Network.of(network, preprocessing)
    cut = chosen_layer(layer, known)
    given = Given.of(known, picture, many, output, Comparison, strict=question.strict)
    subject = given.subject
    target = None if question.target is None else subject.index(question.target)
    found = compare(
        subject.network.model,
        given.data,
        cut,
        target,
        question.methods or "default",
        points=question.points,
        scores=_scores(subject) if question.scores else None,
        seed=seed.seed,
        class_names=subject.network.names,
        **given.options,
    )
    refused = getattr(found, "not_applicable", {})  # of many, their pages say it
    given.write(found, *(f"{name}: not applicable: {why}" for name, why in refused.items()))


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

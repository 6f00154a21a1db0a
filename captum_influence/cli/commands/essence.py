"""``captum-influence essence``: what a class is to a network."""

from __future__ import annotations

from captum_influence.cli.inputs import Collection, Network, chosen_layer, left_out, require
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PicturesOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.cli.syntax.classes import DEMO_CLASS, EssenceOptions
from captum_influence.explanations.essences.find import essence
from captum_influence.explanations.essences.result import Essence
from captum_influence.explanations.prototypes.find import prototype
from captum_influence.explanations.prototypes.result import Prototype

__all__ = ["run"]


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
    require(network, target=question.target)
    report = Report.claim(output, Essence)
    subject = Collection.of(Network.of(network, preprocessing), pictures)
    target = subject.index(question.target or DEMO_CLASS)
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

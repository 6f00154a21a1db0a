"""``captum-influence pair``: what separates two classes for a network."""

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
from captum_influence.cli.syntax.classes import DEMO_PAIR, PairOptions
from captum_influence.explanations.pairs.find import pair
from captum_influence.explanations.pairs.result import Pair

__all__ = ["run"]


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
    require(network, target=question.target, versus=question.versus)
    report = Report.claim(output, Pair)
    subject = Collection.of(Network.of(network, preprocessing), pictures)
    words = (question.target or DEMO_PAIR[0], question.versus or DEMO_PAIR[1])
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

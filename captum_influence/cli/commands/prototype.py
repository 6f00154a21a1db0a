"""``captum-influence prototype``: the picture that a class or a unit answers to most."""

from __future__ import annotations

from captum_influence.cli.inputs import Network, chosen_layer
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.cli.syntax.classes import DEMO_PROTOTYPE, PrototypeOptions
from captum_influence.explanations.prototypes.find import prototype
from captum_influence.explanations.prototypes.result import Prototype

__all__ = ["run"]


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
    if not of_unit and (given := layer.given()):
        raise ValueError(
            f"expected --unit N beside {', '.join(given)}, got none: a class is read at the "
            "output; leave it out, or say which unit"
        )
    if network.model is not None and question.target is None and not of_unit:
        raise ValueError("expected --target CLASS, or --layer NAME with --unit N, beside --model")
    report, known = Report.claim(output, Prototype), Network.of(network, preprocessing)
    target = None if of_unit else known.index(question.target or DEMO_PROTOTYPE, known.blank)
    found = prototype(
        known.model,
        target,
        layer=chosen_layer(layer, known) if of_unit else None,
        unit=question.unit,
        size=known.size,
        steps=question.steps,
        preprocess=known.prepare.encode,
        seed=seed.seed,
        class_names=known.names,
        show_progress=output.show_progress,
    )
    report.write(found)

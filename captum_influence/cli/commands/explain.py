"""``captum-influence explain``: which units caused what a network says of a picture."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader

from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.cli.inputs import Network, Subject, chosen_layer, left_out
from captum_influence.cli.options import (
    ExampleOptions,
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PictureOptions,
    PreprocessingOptions,
    QuestionOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.cli.question import chosen_distribution, chosen_quantity
from captum_influence.cli.syntax.pictures import UnitOptions
from captum_influence.demo.objects import CLASSES
from captum_influence.demo.scenes import SceneDataset
from captum_influence.explanations.instances.find import explain
from captum_influence.explanations.instances.result import Explanation
from captum_influence.network.outline import layer_table

__all__ = ["run"]

_DEMO_PAIR = ("coupe", "convertible")
_DEMO_EXAMPLES = 40


def run(
    network: NetworkOptions,
    picture: PictureOptions,
    preprocessing: PreprocessingOptions,
    layer: LayerOptions,
    units: UnitOptions,
    question: QuestionOptions,
    examples: ExampleOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Explain a picture, write what was found, and say it in a few sentences.

    Raises:
        ValueError: if options are missing, out of range, or don't go together.
    """
    if units.list_layers:
        _list_layers(network, picture, preprocessing)
        return
    subject = Subject.of(Network.of(network, preprocessing), picture)
    cut, report = chosen_layer(layer, subject.network), Report.claim(output, Explanation)
    loader = _loader(examples, subject)
    found = explain(
        subject.network.model,
        subject.inputs,
        cut,
        _quantity(question, subject),
        distribution=chosen_distribution(question, subject.inputs, seed.seed),
        replace=units.replace,
        top=units.top,
        by=units.by,
        axis=units.axis,
        loader=loader,
        display=subject.network.display,
        picture=subject.picture,
        class_names=subject.network.names,
        seed=seed.seed,
        show_progress=output.show_progress,
    )
    report.write(found, left_out=left_out(loader))


def _list_layers(
    options: NetworkOptions, picture: PictureOptions, preprocessing: PreprocessingOptions
) -> None:
    network = Network.of(options, preprocessing, bare=True)
    if network.is_demo or picture.image is not None:
        inputs = Subject.of(network, picture).inputs
    else:
        inputs = torch.zeros(1, 3, *network.size, device=network.device)
        network.outputs(inputs)
    print(f"for an input of shape {tuple(inputs.shape[1:])}:")
    print(layer_table(network.model, inputs))


def _quantity(options: QuestionOptions, subject: Subject) -> Quantity:
    if subject.network.is_demo and not options.given("target", "versus"):
        target, versus = (CLASSES.index(name) for name in _DEMO_PAIR)
        return ClassScore(target) - ClassScore(versus)
    return chosen_quantity(options, subject.network.names, subject.outputs)


def _loader(options: ExampleOptions, subject: Subject) -> DataLoader[Any] | None:
    if options.examples is not None:
        return subject.examples(options.examples, strict=options.strict)
    if not subject.network.is_demo:
        return None
    return DataLoader(SceneDataset(_DEMO_EXAMPLES, seed=1), batch_size=_DEMO_EXAMPLES)

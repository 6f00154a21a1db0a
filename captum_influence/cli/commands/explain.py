"""``captum-influence explain``: which units caused what a network says of a picture."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.cli.inputs import Network, Subject, chosen_layer, left_out
from captum_influence.cli.many import Given, is_folder
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
from captum_influence.cli.question import chosen_distribution, chosen_quantity
from captum_influence.cli.syntax.pictures import ManyOptions, UnitOptions
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
    many: ManyOptions,
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
    known = Network.of(network, preprocessing)
    cut = chosen_layer(layer, known)
    given = Given.of(known, picture, many, output, Explanation, strict=examples.strict)
    subject, loader = given.subject, _loader(examples, given.subject)
    found = explain(
        subject.network.model,
        given.data,
        cut,
        _quantity(question, subject),
        distribution=_distribution(question, given, seed.seed),
        replace=units.replace,
        top=units.top,
        by=units.by,
        axis=units.axis,
        loader=loader,
        display=subject.network.display,
        class_names=subject.network.names,
        seed=seed.seed,
        **given.options,
    )
    given.write(found, left_out=left_out(loader))


def _list_layers(
    options: NetworkOptions, picture: PictureOptions, preprocessing: PreprocessingOptions
) -> None:
    network = Network.of(options, preprocessing, bare=True)
    if network.is_demo or (picture.image is not None and not is_folder(picture)):
        inputs = Subject.of(network, picture).inputs
    else:
        inputs = network.blank
        network.outputs(inputs)
    print(f"for an input of shape {tuple(inputs.shape[1:])}:")
    print(layer_table(network.model, inputs))


def _distribution(options: QuestionOptions, given: Given, seed: int) -> Distribution | None:
    of_it = options.distribution == "noise" or options.baseline in ("mean", "blur")
    if given.is_folder and of_it:
        raise ValueError(
            "expected one picture beside noise and beside baselines that are made of it, got a "
            "folder: leave them out, or say --baseline zero"
        )
    return chosen_distribution(options, given.subject.inputs, seed)


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

"""``captum-influence counterfactual``: the units without which a wrong answer would be right."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, Subset

from captum_influence.cli.inputs import Network, chosen_layer, left_out, require
from captum_influence.cli.many import Given, is_folder
from captum_influence.cli.options import (
    ExampleOptions,
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PictureOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.syntax.pictures import ManyOptions, SearchOptions
from captum_influence.demo.scenes import SceneDataset
from captum_influence.explanations.counterfactuals.find import counterfactual
from captum_influence.explanations.counterfactuals.result import Counterfactual

__all__ = ["run"]

_DEMO_TRUE, _DEMO_SEED, _DEMO_SCENE = "fish", 1_000_003, 423  # which the demo takes for a house
_DEMO_OTHERS = 80


def run(
    network: NetworkOptions,
    picture: PictureOptions,
    many: ManyOptions,
    preprocessing: PreprocessingOptions,
    layer: LayerOptions,
    search: SearchOptions,
    examples: ExampleOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Find the units, write what was found, and say it in a few sentences.

    Raises:
        ValueError: if options are missing, or the answer isn't wrong.
    """
    if not is_folder(picture):  # whose subfolders may say it
        require(network, true=search.true)
    known = Network.of(network, preprocessing)
    given = Given.of(known, picture, many, output, Counterfactual, strict=examples.strict)
    given, loader = _demo(given) if known.is_demo else (given, None)
    if examples.examples is not None:
        loader = given.subject.answered(examples.examples, strict=examples.strict)
    if search.replace in ("mean", "resample") and loader is None:
        raise ValueError(
            f"expected --examples FOLDER beside --replace {search.replace}, pictures to take it "
            "from, got none"
        )
    found = counterfactual(
        known.model,
        given.data,
        chosen_layer(layer, known),
        true=_true(search, given),
        until=search.until,
        search=search.search,
        max_units=search.max_units,
        replace=search.replace,
        loader=loader,
        controls=search.controls,
        seed=seed.seed,
        class_names=known.names,
        **given.options,
    )
    given.write(found, left_out=left_out(loader))


def _true(search: SearchOptions, given: Given) -> int | None:
    """Return the class that the network should say; None: a folder says it of each picture."""
    if search.true is None and given.is_folder:
        return None
    return given.subject.index(search.true or _DEMO_TRUE)


def _demo(given: Given) -> tuple[Given, DataLoader[Any]]:
    """Return the demo network with a scene that it gets wrong, and scenes to do damage to."""
    scenes = SceneDataset(_DEMO_SCENE + 1, seed=_DEMO_SEED)
    others: Any = Subset(scenes, range(_DEMO_OTHERS))
    return given.about(scenes[_DEMO_SCENE][0]), DataLoader(others, batch_size=_DEMO_OTHERS)

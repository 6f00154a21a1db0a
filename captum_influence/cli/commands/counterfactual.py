"""``captum-influence counterfactual``: the units without which a wrong answer would be right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils.data import DataLoader, Subset

from captum_influence.cli.inputs import Network, Subject, chosen_layer, left_out, require
from captum_influence.cli.options import (
    ExampleOptions,
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PictureOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.cli.syntax.pictures import SearchOptions
from captum_influence.demo.scenes import SceneDataset
from captum_influence.explanations.counterfactuals.find import counterfactual
from captum_influence.explanations.counterfactuals.result import Counterfactual

__all__ = ["run"]

_DEMO_TRUE, _DEMO_SEED, _DEMO_SCENE = "fish", 1_000_003, 423  # which the demo takes for a house
_DEMO_OTHERS = 80


def run(
    network: NetworkOptions,
    picture: PictureOptions,
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
    require(network, true=search.true)
    subject = Subject.of(Network.of(network, preprocessing), picture)
    loader: Iterable[Any] | None = None
    if subject.network.is_demo:
        subject, loader = _demo(subject)
    if examples.examples is not None:
        loader = subject.answered(examples.examples, strict=examples.strict)
    if search.replace in ("mean", "resample") and loader is None:
        raise ValueError(
            f"expected --examples FOLDER beside --replace {search.replace}, pictures to take it "
            "from, got none"
        )
    cut, report = chosen_layer(layer, subject.network), Report.claim(output, Counterfactual)
    found = counterfactual(
        subject.network.model,
        subject.inputs,
        cut,
        true=subject.index(search.true or _DEMO_TRUE),
        until=search.until,
        search=search.search,
        max_units=search.max_units,
        replace=search.replace,
        loader=loader,
        controls=search.controls,
        seed=seed.seed,
        class_names=subject.network.names,
        picture=subject.picture,
    )
    report.write(found, left_out=left_out(loader))


def _demo(subject: Subject) -> tuple[Subject, Iterable[Any]]:
    """Return the demo network with a scene that it gets wrong, and scenes to do damage to."""
    scenes = SceneDataset(_DEMO_SCENE + 1, seed=_DEMO_SEED)
    others: Any = Subset(scenes, range(_DEMO_OTHERS))
    return subject.about(scenes[_DEMO_SCENE][0]), DataLoader(others, batch_size=_DEMO_OTHERS)

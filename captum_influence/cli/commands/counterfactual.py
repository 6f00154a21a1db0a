"""``captum-influence counterfactual``: the units without which a wrong answer would be right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch.utils.data import DataLoader, Subset

from captum_influence.cli.groups import Command, Group, count, counts, option
from captum_influence.cli.inputs import Network, Subject, chosen_layer, left_out, require
from captum_influence.cli.options import (
    ExampleOptions,
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PictureOptions,
    PreprocessingOptions,
    SeedOptions,
    replaced,
)
from captum_influence.cli.output import Report
from captum_influence.demo.scenes import SceneDataset
from captum_influence.explanations.counterfactuals.find import counterfactual
from captum_influence.explanations.counterfactuals.goals import Until
from captum_influence.explanations.counterfactuals.result import Counterfactual
from captum_influence.explanations.counterfactuals.search import SearchName

__all__ = ["COMMAND"]

_DEMO_TRUE, _DEMO_SEED, _DEMO_SCENE = "fish", 1_000_003, 423  # which the demo takes for a house
_DEMO_OTHERS = 80

_DESCRIPTION = """\
Find units without which a network's wrong answer is right: one after another by their contribution
to -log p(true class), ranked anew after each, then put back where they weren't needed. What is
reported was run. Beside it: the same search towards classes that are wrong, as many random units,
and what else breaks. Without options it asks why the demo network takes a fish for a house."""

_EXAMPLES = """\
examples:
  captum-influence counterfactual
  captum-influence counterfactual --model torchvision:resnet18 --weights DEFAULT \\
      --image photo.jpg --layer layer4 --true "sports car" --examples photos/"""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Group):
    """What the answer should have been, and what is tried."""

    title: ClassVar[str] = "search"

    true: str | None = option(
        "--true",
        metavar="CLASS",
        help="number or name: what the network should have said; required with --model",
    )
    until: Until = option(
        "--until",
        choices=("right", "changed"),
        default="right",
        help="what the answer shall become: the true class, or any but the one that is said; "
        "default: right",
    )
    search: SearchName = option(
        "--search",
        choices=("greedy", "prefix"),
        default="greedy",
        help="one unit after another, ranked anew after each, or the first units of one ranking by "
        "score(said) - score(true); default: greedy",
    )
    max_units: int = option(
        "--max-units", type=count, default=16, metavar="N", help="to try; default: 16"
    )
    replace: Any = replaced("the mean over the examples, without any 0")
    controls: int = option(
        "--controls", type=counts, default=20, metavar="N", help="random sets; default: 20"
    )


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
    require(network, true=search.true, layer=layer.layer)
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


COMMAND = Command(
    description=_DESCRIPTION,
    examples=_EXAMPLES,
    groups=(
        NetworkOptions,
        PictureOptions,
        PreprocessingOptions,
        LayerOptions,
        SearchOptions,
        ExampleOptions,
        SeedOptions,
        OutputOptions,
    ),
    run=run,
)

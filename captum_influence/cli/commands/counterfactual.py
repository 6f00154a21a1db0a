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
    replacement,
)
from captum_influence.cli.output import Report
from captum_influence.demo.scenes import SceneDataset
from captum_influence.explanations.counterfactuals.find import counterfactual
from captum_influence.explanations.counterfactuals.result import Counterfactual

__all__ = ["COMMAND"]

_DEMO_TRUE, _DEMO_SEED, _DEMO_SCENE = "tree", 17, 533  # which the demo takes for a fish
_DEMO_OTHERS = 80

_DESCRIPTION = """\
Find the fewest units, by contribution to the wrong class over the true one, without which a
network's answer changes, and verify it by running the network without them; beside it, as many
random units. Without options it asks why the demo network takes a tree for a fish."""

_EXAMPLES = """\
examples:
  captum-influence counterfactual
  captum-influence counterfactual --model torchvision:resnet18 --weights DEFAULT \\
      --image photo.jpg --layer layer4 --true "sports car" --examples photos/ --replace mean"""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(Group):
    """What the answer should have been, and what is tried."""

    title: ClassVar[str] = "search"

    true: str | None = option(
        "--true",
        metavar="CLASS",
        help="number or name: what the network should have said; required with --model",
    )
    max_units: int = option(
        "--max-units", type=count, default=16, metavar="N", help="to try; default: 16"
    )
    replace: Any = option(
        "--replace",
        type=replacement,
        default=0.0,
        metavar="X",
        help='what takes the place of removed units: a number, or "mean", their mean activation '
        "over the examples; default: 0",
    )
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

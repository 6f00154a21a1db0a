"""``captum-influence expert``: the few units that tell a class from the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from captum_influence.cli.groups import Command, Group, names, option
from captum_influence.cli.inputs import Collection, Network, chosen_layer, left_out, require
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PicturesOptions,
    PreprocessingOptions,
    SeedOptions,
    replaced,
)
from captum_influence.cli.output import Report
from captum_influence.experts.curves.find import expert_curves
from captum_influence.experts.curves.result import ExpertCurves
from captum_influence.experts.rankings import EVERY, class_rankings

__all__ = ["COMMAND"]

_DEMO_CLASS = "coupe"
_RANKINGS = EVERY

_DESCRIPTION = """\
Rank a layer's channels for a class in several ways, keep only the first k of each (or remove them),
and measure how well the network still tells the class from the rest: precision, recall, F1 and
accuracy against k. The units of the best k are written down, to be used again by Expert(model,
layer, units). Without options it looks for the demo network's experts on coupes."""

_EXAMPLES = """\
examples:
  captum-influence expert
  captum-influence expert --target fish --mode remove
  captum-influence expert --model torchvision:resnet18 --weights DEFAULT --images photos/ \\
      --layer layer4 --target "sports car" --rankings influence,random"""


@dataclass(frozen=True, kw_only=True)
class ExpertOptions(Group):
    """Of which class, and which units are tried."""

    title: ClassVar[str] = "question"

    target: str | None = option(
        "--target",
        metavar="CLASS",
        help=f"number or name; required with --model; of the demo: {_DEMO_CLASS}",
    )
    rankings: Any = option(
        "--rankings",
        type=names(*_RANKINGS),
        default=None,
        metavar="A,B,...",
        help=f"some of {', '.join(_RANKINGS)}; default: all",
    )
    mode: Any = option(
        "--mode",
        choices=("keep", "remove"),
        default="keep",
        help="keep only the units, or remove them; default: keep",
    )
    replace: Any = replaced("zero, as in the paper")


def run(
    network: NetworkOptions,
    pictures: PicturesOptions,
    preprocessing: PreprocessingOptions,
    layer: LayerOptions,
    question: ExpertOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Measure the experts, write the curves and the units, and name the best.

    Raises:
        ValueError: if options are missing, out of range, or don't go together.
    """
    require(network, layer=layer.layer, target=question.target)
    report = Report.claim(output, ExpertCurves)
    subject = Collection.of(Network.of(network, preprocessing), pictures)
    target = subject.index(question.target or _DEMO_CLASS)
    cut = chosen_layer(layer, subject.network)
    instead: Any = "zero" if question.replace is None else question.replace
    rankings = class_rankings(
        subject.network.model,
        subject.seen,
        cut,
        target,
        by=question.rankings,
        replace=instead,
        ends="both" if question.mode == "keep" else "top",
        seed=seed.seed,
    )
    curves = expert_curves(
        subject.network.model,
        subject.held_out or subject.seen,
        cut,
        target,
        rankings,
        mode=question.mode,
        replace=instead,
        seed=seed.seed,
        class_names=subject.network.names,
        show_progress=output.show_progress,
    )
    told = left_out(subject.seen, subject.held_out)
    report.write(curves, *_told(curves), left_out=told)


def _told(curves: ExpertCurves) -> list[str]:
    lines = []
    for name, k in curves.best_k.items():
        counts = curves.counts[name][curves.ks.index(k)]
        units = [unit.index[0] for unit in curves.rankings[name][:k]]
        shown = ", ".join(map(str, units[:8])) + (", ..." if k > 8 else "")
        scores = f"precision {counts.precision:.2f}, recall {counts.recall:.2f}, F1 {counts.f1:.2f}"
        lines.append(f"  by {name}: {k} channel{'s' * (k != 1)}, {scores}: {shown}")
    return lines


COMMAND = Command(
    description=_DESCRIPTION,
    examples=_EXAMPLES,
    groups=(
        NetworkOptions,
        PicturesOptions,
        PreprocessingOptions,
        LayerOptions,
        ExpertOptions,
        SeedOptions,
        OutputOptions,
    ),
    run=run,
)

"""``captum-influence expert``: the few units that tell a class from the rest."""

from __future__ import annotations

from typing import Any

from captum_influence.cli.inputs import DEMO_LAYER, Collection, Network, left_out, require
from captum_influence.cli.options import (
    LayerOptions,
    NetworkOptions,
    OutputOptions,
    PicturesOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.cli.syntax.classes import DEMO_CLASS, ExpertOptions
from captum_influence.experts.curves.find import expert_curves
from captum_influence.experts.curves.result import ExpertCurves
from captum_influence.experts.rankings import class_rankings
from captum_influence.network.cuts import Cut

__all__ = ["run"]


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
    target = subject.index(question.target or DEMO_CLASS)
    cut = Cut(layer.layer or DEMO_LAYER, call=layer.call)
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

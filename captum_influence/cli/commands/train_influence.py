"""``captum-influence train-influence``: which training images shape a network's answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor
from torch.nn import CrossEntropyLoss

from captum_influence.cli.inputs import Network, require
from captum_influence.cli.options import (
    NetworkOptions,
    OutputOptions,
    PreprocessingOptions,
    SeedOptions,
)
from captum_influence.cli.output import Report
from captum_influence.cli.study import Study
from captum_influence.cli.syntax.data_sets import InfluenceOptions, RetrainingOptions, StudyOptions
from captum_influence.network.modes import without_graph
from captum_influence.network.recording import quiet
from captum_influence.training.bias.find import bias_report
from captum_influence.training.bias.result import BiasReport
from captum_influence.training.bias.retrained import RetrainingResult
from captum_influence.training.bias.retraining import Retraining, retrain_and_measure
from captum_influence.training.bias.shapley import GradientShapley, SampledShapley
from captum_influence.training.layer_influence import LayerInfluence
from captum_influence.training.losses import log_odds_loss

__all__ = ["run"]

Groups = Mapping[str, tuple[Tensor, Tensor]]

_ALL = "all"
_SHAPLEY = {"gradient": GradientShapley(), "sampling": SampledShapley(), "none": None}


def run(
    network: NetworkOptions,
    preprocessing: PreprocessingOptions,
    data: StudyOptions,
    question: InfluenceOptions,
    retraining: RetrainingOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> None:
    """Study, write what was found, and say it in a few sentences.

    Raises:
        ValueError: if options are missing, out of range, or don't go together.
    """
    require(network, train=data.train, test=data.test)
    data = replace(data, disturb=tuple(dict.fromkeys(data.disturb)))
    report, known = Report.claim(output, BiasReport), Network.of(network, preprocessing)
    study = Study.of(known, data, seed.seed, show_progress=output.show_progress)
    groups = study.groups(data.disturb, seed.seed)
    asked, note = _asked(question, study, data.disturb[0], groups)
    influence = _influence(question, study, seed.seed)
    found = bias_report(
        influence,
        asked,
        top=question.top,
        predicted=question.ask == "answer",
        shapley=_SHAPLEY[question.shapley],
        display=known.prepare.decode,
        class_names=study.names,
        seed=seed.seed,
        show_progress=output.show_progress,
    )
    notes = (note, *_skipped(influence), *_planted(study, found))
    best = _most(question, retraining, found)
    retrained = tuple(_retrained(retraining, study, groups, best, question, seed, output))
    found = replace(found, notes=notes, retrainings=retrained)
    report.write(found, *notes, *_effects(found), left_out=study.left_out)


def _asked(
    question: InfluenceOptions, study: Study, disturbed: str, groups: Groups
) -> tuple[Groups, str]:
    """Return the examples to ask about, the same ones in every group, and which these are."""
    total = len(study.labels)
    if question.ask == "loss":
        return groups, f"Asked about the loss on all {total} test pictures."
    model = study.network.model
    with without_graph(), quiet(model):
        before, after = (model(groups[n][0]).argmax(1) for n in ("original", disturbed))
    changed = before != after
    becomes = ""
    if study.answer is not None:
        changed &= after == study.answer
        becomes = f" into {study.names.get(study.answer, study.answer)}"
    share = (
        f"turns the answer to {int(changed.sum())} of {total} test pictures{becomes or ' round'}"
    )
    if not changed.any():
        return groups, f"{disturbed} {share}, so all are asked about."
    chosen = {n: (inputs[changed], labels[changed]) for n, (inputs, labels) in groups.items()}
    return chosen, f"{disturbed} {share}; these are asked about."


def _influence(question: InfluenceOptions, study: Study, seed: int) -> LayerInfluence:
    return LayerInfluence(
        study.network.model,
        study.train,
        layers=question.layers,
        loss_fn=CrossEntropyLoss(),
        test_loss_fn=log_odds_loss if question.ask == "answer" else None,
        batch_size=question.batch_size,
        curvature=question.curvature,
        fisher=question.fisher,
        damping=question.damping,
        normalize=None if question.normalize == "none" else "self",
        seed=seed,
        skip_unsupported=question.layers is None,
    )


def _skipped(influence: LayerInfluence) -> list[str]:
    if not influence.skipped:
        return []
    return [f"Left out, since they can't be treated: {', '.join(influence.skipped)}."]


def _planted(study: Study, report: BiasReport) -> list[str]:
    """Say how many of the images that were found are planted, where that is known."""
    if study.planted is None:
        return []
    group = report.groups[1]
    mean = report.mean_scores(group.name)
    best = mean.topk(min(20, len(study.planted))).indices.tolist()
    hits = len(set(best) & set(study.planted))
    return [
        f"Of the {len(mean)} training pictures {len(study.planted)} carry a planted {group.name}; "
        f"of the {len(best)} most helpful ones for the answers under it, {hits} do."
    ]


def _most(question: InfluenceOptions, options: RetrainingOptions, report: BiasReport) -> list[int]:
    """Return the images that most help the answers, or most raise the loss."""
    mean = report.mean_scores(report.groups[1].name)
    number = min(options.remove, len(mean) // 2)
    gone: list[int] = mean.topk(number, largest=question.ask == "answer").indices.tolist()
    return gone


def _retrained(
    options: RetrainingOptions,
    study: Study,
    groups: Groups,
    gone: list[int],
    question: InfluenceOptions,
    seed: SeedOptions,
    output: OutputOptions,
) -> Iterator[RetrainingResult]:
    """Retrain each layer that is named without these images."""
    for name in options.retrain or ([] if study.planted is None else [_ALL]):
        yield retrain_and_measure(
            study.network.model,
            study.train,
            groups,
            loss_fn=CrossEntropyLoss(),
            without=gone,
            layers=None if name == _ALL else [name],
            retraining=Retraining(
                options.epochs,
                options.learning_rate,
                batch_size=question.batch_size,
                seed=seed.seed,
            ),
            show_progress=output.show_progress,
        )


def _effects(report: BiasReport) -> list[str]:
    group = report.groups[1].name
    return [
        f"Retrained ({', '.join(result.layers)}) without {result.removed} of them, the loss under "
        f"{group} is {result.changed[group].loss:.3g}; retrained with all, "
        f"{result.control[group].loss:.3g}; before, {result.before[group].loss:.3g}."
        for result in report.retrainings
    ]

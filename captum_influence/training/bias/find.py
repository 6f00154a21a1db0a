"""The bias study: which training images, through which layers, shape answers under disturbances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.run import Run
from captum_influence.data.batches import Batches
from captum_influence.data.items import Item, columns
from captum_influence.data.labels import Names
from captum_influence.network.modes import without_graph
from captum_influence.network.recording import quiet
from captum_influence.reports.asked import Asked
from captum_influence.reports.display import Display
from captum_influence.reports.shown import Shown
from captum_influence.training.bias.differences import GroupDifference, corrected, difference
from captum_influence.training.bias.result import (
    ALL_LAYERS,
    BiasReport,
    GroupFinding,
    Ranked,
    ShownImage,
)
from captum_influence.training.bias.retrained import RetrainingResult
from captum_influence.training.bias.shapley import Shapley
from captum_influence.training.bias.shares import ShareIntervals
from captum_influence.training.layer_influence import LayerInfluence
from captum_influence.training.losses import ExampleLoss
from captum_influence.training.scoring import RawScores
from captum_influence.units.options import check_options, collected

__all__ = ["ReportOptions", "bias_report"]

SHOWN = 8  # examples of a group


class ReportOptions(TypedDict, total=False):
    """What :func:`bias_report` takes by keyword: fields of :class:`Shown` and :class:`Run`.

    Attributes:
        class_names: names of the targets.
        display: one training input -> picture (channels, height, width) in [0, 1]; None: inputs of
            one or three channels are stretched to [0, 1].
        shown: both of these, whole.
        seed: of the resampling.
        show_progress: show bars.
        run: both of these, whole.
    """

    class_names: Names
    display: Callable[[Tensor], Tensor | Display] | None
    shown: Shown
    seed: int
    show_progress: bool
    run: Run


def bias_report(
    influence: LayerInfluence,
    groups: Mapping[str, Sequence[Any]],
    *,
    top: int = 6,
    predicted: bool = True,
    shapley: Shapley | None = None,
    retrainings: Sequence[RetrainingResult] = (),
    notes: Sequence[str] = (),
    confidence: float = 0.95,
    **options: Unpack[ReportOptions],
) -> BiasReport:
    """Compare the influence of training images on an original group and disturbed ones.

    To find a planted bias, build ``influence`` with ``normalize="self"`` and
    ``test_loss_fn=log_odds_loss``, and ask of examples whose answer the disturbance changes.

    Args:
        influence: which model, training data, layers, loss and curvature.
        groups: name -> batch ``(*inputs, targets)``; the first is the original.
        top: how many images to list each way.
        predicted: ask for the model's own answers instead of the targets given.
        shapley: how to compute maps of the listed images; None: none.
        retrainings: results of :func:`retrain_and_measure`, to be shown too.
        notes: sentences to be shown above all else.
        confidence: of the intervals.
        options: see :class:`ReportOptions`.

    Raises:
        ValueError: if there is no group, or a number is out of range.
    """
    asked = Asked.of(bias_report, locals())
    _check(groups, top, confidence)
    check_options("bias_report", options, ReportOptions)
    shown: Shown = collected("bias_report", "shown", Shown, options)
    run: Run = collected("bias_report", "run", Run, options)
    batches = {n: _batch(influence, group, predicted=predicted) for n, group in groups.items()}
    scores = _scored(influence, batches, run.show_progress)
    shares = ShareIntervals(confidence, run.seed)
    found = {n: _finding(n, influence, b, scores[n], top, shares) for n, b in batches.items()}
    findings = tuple(
        replace(finding, pictures=_examples(batches[name], shown))
        for name, (finding, _) in found.items()
    )
    return BiasReport(
        asked=asked,
        layers=tuple(influence.layers),
        groups=findings,
        group_share_interval={
            key: shares.of_groups(scores, layer) for key, layer in _keys(influence).items()
        },
        differences=_differences({n: v for n, (_, v) in found.items()}, confidence, run.seed),
        images=_shown(influence, _listed(findings), shapley, shown),
        normalized=influence.normalize == "self",
        retrainings=tuple(retrainings),
        scores=scores,
        notes=tuple(notes),
    )


def _scored(
    influence: LayerInfluence, batches: Mapping[str, tuple[Any, ...]], show_progress: bool
) -> dict[str, RawScores]:
    """Return every group's scores, from one pass over the training data."""
    every = influence.raw_scores(Batches.whole(list(batches.values())), show_progress=show_progress)
    found, start = {}, 0
    for name, batch in batches.items():
        end = start + len(batch[-1])
        found[name], start = every.rows(slice(start, end)), end
    return found


def _differences(
    per_example: Mapping[str, Mapping[str, Tensor]], confidence: float, seed: int
) -> tuple[GroupDifference, ...]:
    """Compare every group with the first, in every quantity."""
    original, *others = per_example
    return corrected(
        [
            difference(name, quantity, per_example[original][quantity], values, confidence, seed)
            for name in others
            for quantity, values in per_example[name].items()
        ]
    )


def _check(groups: Mapping[str, Sequence[Any]], top: int, confidence: float) -> None:
    if not groups or top < 1 or not 0 < confidence < 1:
        raise ValueError(
            "expected at least one group, top of at least 1 and confidence between 0 and 1, got "
            f"{len(groups)} groups, top={top}, confidence={confidence}"
        )


def _batch(influence: LayerInfluence, group: Sequence[Any], *, predicted: bool) -> tuple[Any, ...]:
    """Return the group's batch, with the model's answers as targets if they are asked for."""
    *inputs, _ = group
    if not predicted:
        return tuple(group)
    with influence.weights_loaded(), without_graph(), quiet(influence.model):
        return (*inputs, influence.model(*inputs).argmax(1))


def _finding(
    name: str,
    influence: LayerInfluence,
    batch: tuple[Any, ...],
    scores: RawScores,
    top: int,
    shares: ShareIntervals,
) -> tuple[GroupFinding, dict[str, Tensor]]:
    """Return a group's finding, and its losses and strengths example by example."""
    keys = _keys(influence)
    helpful, harmful, values = {}, {}, {"loss": _losses(influence, batch)}
    for key, layer in keys.items():
        mean = scores.of(layer, normalized=influence.normalize == "self").mean(0)
        helpful[key], harmful[key] = _ranked(mean, top, True), _ranked(mean, top, False)
        values[f"influence strength, {key}"] = scores.strength(layer)
    strength = {key: float(values[f"influence strength, {key}"].mean()) for key in keys}
    loss = values["loss"]
    finding = GroupFinding(
        name=name,
        size=len(loss),
        loss=float(loss.mean()),
        helpful=helpful,
        harmful=harmful,
        strength=strength,
        layer_share_interval=shares.of_layers(scores),
    )
    return finding, values


def _keys(influence: LayerInfluence) -> dict[str, str | None]:
    """Return what findings are kept by: the layers' names, and one for all of them."""
    every: dict[str, str | None] = {ALL_LAYERS: None}
    return every | {name: name for name in influence.layers}


def _examples(batch: tuple[Any, ...], shown: Shown) -> tuple[Tensor, ...]:
    """Return pictures of a group's first examples."""
    found = (_picture(one, shown) for one in batch[0][:SHOWN])
    return tuple(picture.detach().cpu() for picture in found if picture is not None)


def _ranked(scores: Tensor, top: int, largest: bool) -> Ranked:
    best = scores.topk(min(top, len(scores)), largest=largest)
    return Ranked(tuple(best.indices.tolist()), tuple(best.values.tolist()))


def _losses(influence: LayerInfluence, batch: tuple[Any, ...]) -> Tensor:
    *inputs, target = batch
    with influence.weights_loaded(), without_graph(), quiet(influence.model):
        return ExampleLoss(influence.loss_fn)(influence.model(*inputs), target)


def _listed(findings: Sequence[GroupFinding]) -> list[int]:
    ranked = [r for g in findings for side in (g.helpful, g.harmful) for r in side.values()]
    return sorted({index for one in ranked for index in one.indices})


def _shown(
    influence: LayerInfluence, indices: Sequence[int], shapley: Shapley | None, shown: Shown
) -> dict[int, ShownImage]:
    dataset: Any = getattr(influence.train_dataset, "dataset", influence.train_dataset)
    found = {}
    for index in indices:
        item = columns(dataset[index])
        found[index] = ShownImage(
            index=index,
            target=_target(item.target, shown),
            picture=_picture(item.inputs[0], shown),
            shapley=None if shapley is None else _map(influence.model, item, shapley),
        )
    return found


def _target(target: Any, shown: Shown) -> str:
    single = isinstance(target, Tensor) and target.numel() == 1
    plain = target.item() if single else target
    named = isinstance(plain, int) and shown.class_names is not None
    return shown.name(plain) if named else str(plain)


def _map(model: Module, item: Item, shapley: Shapley) -> Tensor:
    target = torch.as_tensor(item.target).reshape(1)
    return shapley.maps(model, item.inputs[0].unsqueeze(0), target)[0]


def _picture(value: Any, shown: Shown) -> Tensor | None:
    """Return an input as it is shown; by default none but tensors of one or three channels."""
    if shown.display is not None:
        found: Any = shown.display(value)
        own: Tensor | None = getattr(found, "picture", found)
        return own
    if not isinstance(value, Tensor) or value.ndim != 3 or len(value) not in (1, 3):
        return None
    value = value.detach().float().cpu()
    picture: Tensor = (value - value.min()) / (value.max() - value.min()).clamp(min=1e-6)
    return picture
